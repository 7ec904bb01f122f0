// Keys, and the dialogs that they and buttons open.

const KEYS = [
  ['1 … 9', 'the first nine views, in the order of the tabs'],
  ['[ and ]', 'the view before, and the next one'],
  ['/', 'search; in what it finds, . and , go to the next and the one before'],
  ['Enter, click', 'zoom into a frame of a graph; arrows move'],
  ['0', 'whole graph, or time'],
  ['i', 'callers first, or own time first'],
  ['f', 'focus: only what is below the chosen frame’s function'],
  ['Shift f', 'only stacks with the function'],
  ['c', 'close the function: what it called counts for it'],
  ['d', 'drop stacks with the function'],
  ['m', 'merge the function into its callers'],
  ['s', 'the function’s callers and callees'],
  ['l, double click', 'the function’s source, line by line'],
  ['r', 'close direct recursion'],
  ['b', 'keep the selected time and threads as before, to compare others with it'],
  ['Esc', 'back: search, zoom, comparison, last filter, threads, time'],
  ['+ -, Shift ← →', 'in the flame chart: zoom, pan; Ctrl and the wheel zoom; a second click zooms into the frame'],
  ['arrows', 'on a picture over time: go to moments and threads, which are read out; Enter selects'],
  ['w a s d, f', 'on the timeline: zoom, pan, fit the selection; Ctrl and the wheel zoom'],
  ['drag', 'select a range of time; double click on the strip for all'],
  ['?', 'these keys'],
];

function openDialog(title, ...content) {
  const dialog = byId('dialog');
  dialog.replaceChildren(element('h2', {}, title), ...content, element('form', { method: 'dialog' }, element('button', {}, 'Close')));
  dialog.showModal();
}

function helpDialog() {
  openDialog('Keys', element('table', { class: 'keys' }, ...KEYS.map(([key, what]) => element('tr', {}, element('th', { scope: 'row' }, key), element('td', {}, what)))));
}

function threadsDialog() {
  const chosen = new Set(selection.threads ?? []);
  const weights = new Float64Array(head.threads.length);
  for (const rows of partsOf(series())) for (const run of rows.runs) for (let row = run.start; row < run.end; row++) weights[run.thread] += rows.weight[row];
  const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a]);
  const list = element('div', { class: 'thread-list' });
  const show = (text) => {
    const found = order.filter((thread) => threadText(thread).toLowerCase().includes(text.toLowerCase()));
    list.replaceChildren(...found.slice(0, 500).map((thread) => element('label', {},
      element('input', { type: 'checkbox', checked: chosen.has(thread), onchange: (event) => (event.target.checked ? chosen.add(thread) : chosen.delete(thread)) }),
      ` ${threadText(thread)}: ${amount(weights[thread], series().unit)}`)),
    ...(found.length > 500 ? [`${count(found.length - 500)} more: search for them`] : []));
  };
  show('');
  openDialog('Threads', element('input', { type: 'search', placeholder: 'Search threads', 'aria-label': 'Search threads', oninput: (event) => show(event.target.value) }), list,
    element('div', { class: 'choices' },
      element('button', { onclick: () => {
        byId('dialog').close();
        select({ threads: chosen.size ? chosen : null });
      } }, 'Only these'),
      element('button', { onclick: () => {
        byId('dialog').close();
        select({ threads: null });
      } }, 'All threads')));
}

// The function that keys are about: that of the row or frame that is chosen or pointed at.
function functionAtHand() {
  const row = ['focus', 'hover'].map((how) => byId('view').querySelector(`tr[data-symbol]:${how}`)).find(Boolean);
  if (row) return Number(row.dataset.symbol);
  if (selection.view === 'source') return sourceSymbol();
  const frame = lastGraph?.frameAtHand() ?? null;
  if (frame !== null && code.isFunction[frame]) return code.symbol[frame];
  return selection.view === 'sandwich' ? sandwiched() : null;
}

// Takes one thing back.
function back() {
  if (lastGraph && ['flame', 'chart', 'sandwich'].includes(selection.view) && lastGraph.back()) return;
  if (selection.search) select({ search: '' });
  else if (selection.before) select({ before: null });
  else if (selection.filters.length) select({ filters: selection.filters.slice(0, -1) });
  else if (selection.threads) select({ threads: null });
  else if (selection.from !== null) select({ from: null, until: null });
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || byId('dialog').open) return;
  const typing = event.target.matches?.('input, select, textarea');
  if (event.key === 'Escape') {
    if (typing) event.target.blur();
    back();
    return;
  }
  if (typing) return;
  if (shownView?.key?.(event)) return event.preventDefault();
  const filter = { f: 'focus', F: 'keep', c: 'collapse', C: 'collapse', d: 'drop', D: 'drop', m: 'merge', M: 'merge' }[event.key];
  if (filter && comparison.head) say('Stacks of a comparison cannot be filtered here: report --diff --focus and the like do.');
  else if (filter) {
    const symbol = functionAtHand();
    if (symbol === null) say('Choose a frame or a function first, or point at it.');
    else addFilter({ op: filter, arg: symbol });
  } else if (comparison.head && ['l', 'r', 'i', 'b'].includes(event.key)) return;
  else if (event.key === 'l') openSource();
  else if (event.key === 's' && functionAtHand() !== null) select({ view: 'sandwich', symbol: functionAtHand() });
  else if (event.key === 'b') keepAsBefore();
  else if (event.key === 'r') addFilter({ op: 'recursion', arg: null });
  else if (event.key === 'i') select({ view: 'flame', inverted: !selection.inverted });
  else if (event.key === '0') lastGraph?.whole();
  else if (event.key === '.' || event.key === ',') lastGraph?.find(event.key === '.' ? 1 : -1);
  else if (event.key === '/') byId('search').focus();
  else if (event.key === '?') helpDialog();
  else if (event.key === '[' || event.key === ']') turnTo(event.key === ']' ? 1 : -1);
  else if (/^[1-9]$/.test(event.key) && [...views.keys()][event.key - 1]) select({ view: [...views.keys()][event.key - 1] });
  else return;
  event.preventDefault();
}
