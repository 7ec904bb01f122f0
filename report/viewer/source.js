// One function, line by line: what each line of it takes, and what it calls.

const AROUND = 8; // Lines that are shown around those that were sampled.
const LEAST_CALL = 0.05; // Of its line, a call that is named.
const MOST_LINES = 2000; // Of a part; a table with more is slow.

// The function that was chosen, or else the one with lines that did most itself.
function sourceSymbol() {
  if (selection.symbol !== null || !lines) return sandwiched();
  const known = sums().functions.filter((row) => hasLines(row.symbol));
  return known.reduce((a, b) => (a && a.own >= b.own ? a : b), null)?.symbol ?? sandwiched();
}

function openSource() {
  const symbol = functionAtHand();
  if (symbol === null) say('Choose a frame or a function first, or point at it.');
  else select({ view: 'source', symbol });
}

const sourceButton = () => element('button', { onclick: openSource }, 'Source (l)');

function sourceView() {
  const table = functionTable('Functions with known lines', (row) => select({ symbol: row.symbol }));
  // Shares are enough to choose by: the room is for the source.
  const [, own, , total, , name] = table.columns;
  table.columns = [{ ...own, title: 'Self', bar: true }, { ...total, title: 'Total', bar: true }, name];
  table.options.empty = 'No function with known lines is in what is selected.';
  const { attributes } = table.options;
  table.options.attributes = (row) => ({ ...attributes(row), 'aria-current': row.symbol === shown && 'true' });
  const page = element('div', { class: 'scroll source', tabindex: 0, role: 'region', 'aria-label': 'Source' });
  lastGraph = null;
  let shown = null;
  return {
    node: element('div', { class: 'sides' }, element('div', { class: 'scroll side narrow' }, table.node), page),
    async update() {
      await readLines();
      const symbol = sourceSymbol();
      const isNew = symbol !== shown;
      shown = symbol;
      table.update(lines ? searchedFunctions().filter((row) => hasLines(row.symbol)) : []);
      page.replaceChildren(...(symbol === null ? [element('p', { class: 'nothing' }, nothingText())] : sourceOf(symbol)));
      if (isNew) {
        page.scrollTop = 0;
        reveal(page);
      }
    },
  };
}

function sourceOf(symbol) {
  const row = sums().functions.find((one) => one.symbol === symbol);
  const { unit } = series();
  const parts = lines && row ? linesOf(lineSums(), symbol) : [];
  const act = (op, text) => element('button', { onclick: () => addFilter({ op, arg: symbol }) }, text);
  const hottest = hottestOf(parts);
  return [
    element('h2', {}, row
      ? `${labelOf(row.frame)} — self ${amount(row.own, unit)}, total ${amount(row.total, unit)} (${percent(row.total, sums().all)})`
      : `${code.names[symbol]} is not in what is selected.`),
    element('div', { class: 'tools' }, element('button', { onclick: () => select({ view: 'sandwich', symbol }) }, 'Callers and callees (s)'),
      act('focus', 'Focus (f)'), act('keep', 'Only with it (F)')),
    neighbours(symbol),
    ...(lines || !row ? [] : [element('p', {}, 'Of nothing in this trace lines are known. Native code has them if it is built with debug information (-g) that is found when the page is made: --debug-dir DIR says where.')]),
    ...parts.map((part) => partSection(part, hottest)),
  ];
}

// The line with most of its own, if most of the function's time is in its own lines, or else
// the one with the largest total.
function hottestOf(parts) {
  const own = parts.reduce((sum, part) => sum + part.sum.own, 0);
  const by = own >= (parts[0]?.sum.total ?? 0) / 2 ? 'own' : 'total';
  const all = parts.flatMap((part) => [...part.lines].filter(([line]) => line > 0).map(([, sum]) => sum));
  return all.reduce((a, b) => (a && a[by] >= b[by] ? a : b), null);
}

// Scrolls to the hottest line, unless it is in view already.
function reveal(page) {
  const row = page.querySelector('.hottest');
  if (row && row.getBoundingClientRect().bottom > page.getBoundingClientRect().bottom) row.scrollIntoView({ block: 'center' });
}

const functionLink = (symbol, text = code.names[symbol]) => element('button', {
  class: 'link', title: `${code.names[symbol]} ${code.modules[symbol]}`.trim(), onclick: () => select({ view: 'source', symbol }),
}, text);

// Other functions in the same file.
function neighbours(symbol) {
  if (!lines) return null;
  const files = new Set(Array.from(placesOf(symbol), (place) => lines.place.file[place]).filter(Boolean));
  const isNear = (other) => other !== symbol && Array.from(placesOf(other)).some((place) => files.has(lines.place.file[place]));
  const near = sums().functions.filter((row) => isNear(row.symbol)).sort((a, b) => b.total - a.total);
  if (!near.length) return null;
  const links = near.slice(0, 12).flatMap((row) => [' ', functionLink(row.symbol), ` ${percent(row.total, sums().all)}`]);
  return element('p', { class: 'quiet neighbours' }, 'In the same file:', ...links, near.length > 12 ? ` and ${count(near.length - 12)} more` : '');
}

// The lines of one function in one file.
function partSection({ symbol, file, inlined, sum, lines: taken, calls }, hottest) {
  const source = file ? lines.sources.files[file - 1] : null;
  const name = code.names[symbol];
  const share = percent(sum.total, sums().all);
  const title = [inlined ? `Inlined: ${name}` : null, source?.path || 'The file is not known'].filter(Boolean).join(', ');
  const known = [...taken.keys()].filter((line) => line > 0);
  const text = textOf(source);
  const notes = known.length ? [...(source?.notes ?? []), ...(text ? [] : [whyNoText(source)])] : ['No lines of it are known: its module has no debug information here.'];
  const unknown = taken.get(0);
  const shown = known.length ? shownLines(symbol, file, taken, text) : [];
  const left = known.filter((line) => !shown.includes(line)).length;
  return element('section', { 'data-function': name, 'data-module': code.modules[symbol], 'data-file': source?.path ?? '', 'data-inlined': String(inlined) },
    element('h3', {}, `${share}  ${title}`),
    ...notes.map((note) => element('p', { class: 'quiet' }, note)),
    shown.length ? lineTable(shown, { taken, calls, text, hottest, name }) : null,
    left ? element('p', { class: 'quiet' }, `${count(left)} lines with least are left out.`) : null,
    unknown && known.length ? element('p', { class: 'quiet' }, `${percent(unknown.total, sums().all)} are at lines that are not known.`) : null);
}

// Texts by line; null if there are none.
function textOf(source) {
  if (!source?.text.length) return null;
  return new Map(source.text.flatMap(([first, texts]) => texts.map((text, i) => [first + i, text])));
}

function whyNoText(source) {
  if (!lines.sources.embedded) {
    const how = head.served ? 'report --serve --embed-source' : 'report --html --embed-source';
    return `The text is not in this page: ${how} puts it there, and --source-dir DIR says where sources are.`;
  }
  return source?.none ? `There is no text: ${source.none}.` : 'There is no text, as it is not known which file it is in.';
}

// Lines to show, in order: those that have something, and with their text what is around
// all that are known of the function, whatever is selected.
function shownLines(symbol, file, taken, text) {
  let shown = new Set([...taken.keys()].filter((line) => line > 0));
  if (shown.size > MOST_LINES) {
    const most = [...shown].sort((a, b) => taken.get(b).total - taken.get(a).total);
    shown = new Set(most.slice(0, MOST_LINES));
  } else if (text) {
    for (const place of placesOf(symbol)) {
      const line = lines.place.line[place];
      if (lines.place.file[place] !== file || line === 0 || shown.size > MOST_LINES) continue;
      for (let near = line - AROUND; near <= line + AROUND; near++) if (text.has(near)) shown.add(near);
    }
  }
  return [...shown].sort((a, b) => a - b);
}

function lineTable(shown, { taken, calls, text, hottest, name }) {
  const { unit } = series();
  const largest = Math.max(...shown.map((line) => taken.get(line)?.total ?? 0));
  const body = element('tbody');
  let before = null;
  for (const line of shown) {
    if (before !== null && line > before + 1) body.append(element('tr', { class: 'gap' }, element('td', { colspan: 5 }, '⋯')));
    before = line;
    body.append(lineRow(line, taken.get(line), { isHottest: hottest !== null && taken.get(line) === hottest, called: calls.get(line), text: text?.get(line), largest, unit }));
  }
  const titles = [['Self', 'numeric'], ['Total', 'numeric'], ['%', 'numeric share'], ['Line', 'numeric'], [text ? 'Source' : 'Calls', '']];
  return element('div', { class: 'table-holder' }, element('table', { class: 'lines', 'aria-label': `Lines of ${name}` },
    element('thead', {}, element('tr', {}, ...titles.map(([title, kind]) => element('th', { scope: 'col', class: kind }, title)))), body));
}

function lineRow(line, sum, { isHottest, called, text, largest, unit }) {
  const number = (value, shown, kind = 'numeric') => element('td', { class: kind }, value ? shown : '');
  const { own = 0, total = 0, ownSamples = 0, totalSamples = 0 } = sum ?? {};
  const totalCell = number(total, amount(total, unit));
  if (total > 0) {
    totalCell.classList.add('bar');
    totalCell.style.setProperty('--share', `${((100 * total) / largest).toFixed(1)}%`);
  }
  const row = { 'data-line': line, 'data-self': own, 'data-total': total, 'data-self-samples': ownSamples, 'data-total-samples': totalSamples };
  return element('tr', { class: [isHottest ? 'hottest' : '', totalSamples ? '' : 'cold'].join(' ').trim(), ...row },
    number(own, amount(own, unit)), totalCell, number(total, percent(total, sums().all), 'numeric share'),
    element('td', { class: 'numeric line' }, isHottest ? element('span', { class: 'mark', role: 'img', 'aria-label': 'hottest line' }, '▶') : null, String(line)),
    element('td', { class: 'code' }, text ?? '', linksTo(called, LEAST_CALL * total)));
}

// What a line calls, the largest first.
function linksTo(called, least) {
  const symbols = [...(called?.keys() ?? [])].filter((symbol) => called.get(symbol) >= least).sort((a, b) => called.get(b) - called.get(a));
  if (!symbols.length) return null;
  const links = symbols.slice(0, 3).flatMap((symbol) => [' ', functionLink(symbol, shortName(code.names[symbol]))]);
  return element('span', { class: 'calls' }, ' →', ...links, symbols.length > 3 ? ` and ${symbols.length - 3} more` : '');
}

const shortName = (name) => (name.length > 40 ? `${name.slice(0, 39)}…` : name);
