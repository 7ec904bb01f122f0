// Two parts of the trace, each a range of time and threads: what was kept as before, and
// what is selected now.

function keepAsBefore() {
  select({ before: selectedPart() });
  say('Kept as before: now select another time or other threads. The flame graph, the table and the sandwich show both.');
}

const isSameTime = (one, other) => one.from === other.from && one.until === other.until;
const isSameThreads = (one, other) => String(one && [...one].sort()) === String(other && [...other].sort());

const threadsText = (threads) => (threads === null ? 'all threads' : threads.size === 1 ? threadText([...threads][0]) : `${threads.size} threads`);
const partText = ({ from, until, threads }) =>
  [from === null ? 'all of the time' : rangeText(from, until), ...(threads ? [threadsText(threads)] : [])].join(', ');

let current = null; // What is compared, until something else is selected.
const forgetCompared = () => (current = null);

function comparedParts() {
  current ??= compareParts();
  return current;
}

let lastCompared = { sums: [], key: '', compared: null };

// Both in rates as `report --diff --before --after` has them: of each thread if threads
// are not the same ones. What does not grow with time, or has none, is compared as it is.
function compareParts() {
  const parts = selectedParts();
  const [before, after] = parts;
  const one = series();
  const sums = canCompare() ? parts.map((part) => sumsOf(part, [...selection.filters, ...withoutRoots(parts)])) : [nothingAtAll(), nothingAtAll()];
  const own = !isSameThreads(before.threads, after.threads);
  const lengths = parts.map(lengthOf);
  const key = [selection.series, own, ...lengths].join();
  if (lastCompared.key !== key || sums.some((each, i) => lastCompared.sums[i] !== each)) {
    const rate = hasRates(parts) ? one.rates[own ? 1 : 0] : null;
    const perTime = (part, i) => rate.factor / (lengths[i] * (own ? part.threads?.size ?? head.threads.length : 1));
    const sides = rate ? sums.map((each, i) => scaledBy(each, perTime(parts[i], i))) : sums;
    lastCompared = { sums, key, compared: new Compared(sides, rate?.unit ?? one.unit) };
  }
  return lastCompared.compared;
}

const hasRates = (parts) => series().rates.length > 0 && parts.every((part) => lengthOf(part) > 0);

// What has no times is all in every range of time.
const canCompare = () => series().timed || isSameTime(...selectedParts());

let nothing = null;
function nothingAtAll() {
  const none = () => new Float64Array(code.tree.size);
  nothing ??= new Sums(code.tree, none(), none());
  return nothing;
}

const lengthOf = ({ from, until }) => (from === null || !series().timed ? exact.summary.trace.duration_ns : (until - from) * head.tick_ns);

// Stacks begin with recordings and processes, by whose names no two parts differ, unless
// one of them is of several processes.
function withoutRoots(parts) {
  const without = (kind) => (code.kind.includes(kind) ? [{ op: 'kind', arg: kind }] : []);
  const isOfOne = code.kind.includes('process') && parts.every((part) => processesOf(part).size <= 1);
  return [...without('recording'), ...(isOfOne ? without('process') : [])];
}

// Names of the processes that a part has rows of.
function processesOf({ from, until, threads }) {
  const names = new Set();
  for (const rows of partsOf(series(), from, until)) {
    for (const { thread, start, end } of rows.runs) {
      const { process } = head.threads[thread];
      if ((threads && !threads.has(thread)) || names.has(process)) continue;
      const isIn = (row) => from === null || !rows.time
        || (rows.time[row] < until && Math.max(rows.time[row] + 1, rows.time[row] + (rows.duration?.[row] ?? 0)) > from);
      for (let row = start; row < end; row++) {
        if (!isIn(row)) continue;
        names.add(process);
        break;
      }
    }
  }
  return names;
}

// What both sides are, and how to have verdicts of their changes.
function saidOfParts() {
  const [before, after] = selectedParts();
  const one = compared();
  const [was, is] = one.sides.map((side) => side.all);
  const all = element('span', { class: 'all', 'data-before': was, 'data-after': is }, `all: ${value(was)} → ${value(is)}, ${change(is - was)} ${one.unit}`);
  const { command, left } = verdictsBy(before, after);
  const without = left.length ? ` (which has no filter such as ${left.join(' or ')})` : '';
  const why = canCompare() ? 'Changes are shown without a verdict. Whether they are more than chance, this says:'
    : `${nothingText()} This does:`;
  return [
    element('span', {}, `before: ${partText(before)}`), element('span', {}, `after: ${partText(after)}`), canCompare() ? all : null,
    element('span', {}, `${why} `, element('code', { class: 'command' }, command), without),
  ].filter(Boolean);
}

// The command that compares both, and the filters that it has no options for.
function verdictsBy(before, after) {
  const words = ['report', '--diff', head.name, ...optionsOf('--before', before), ...optionsOf('--after', after)];
  const { kind, name } = series();
  if (kind === 'alloc') words.push('--heap', '--metric', name.slice(name.indexOf('.') + 1));
  else words.push('--event', name);
  if (series().rates.length && !hasRates([before, after])) words.push('--per', 'raw');
  const left = [];
  const known = new Set();
  for (const { op, arg } of selection.filters) {
    const whole = () => `^${code.names[arg].replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
    const option = {
      keep: () => ['--focus', whole()], drop: () => ['--ignore', whole()],
      module: () => ['--only-module', code.moduleNames[arg]], runtime: () => ['--native', 'off'],
    }[op];
    // Given twice, the options of these mean either of both.
    const isEither = known.has(op) && op !== 'drop';
    known.add(op);
    if (option && !isEither) words.push(...option());
    else left.push(filterText({ op, arg }));
  }
  // The page's own, but for a window of time.
  const { text = '', window_ns: window } = exact.summary.filter ?? {};
  left.push(...text.split(', ').slice(window ? 1 : 0).filter(Boolean));
  return { command: words.map(quoted).join(' '), left };
}

function optionsOf(option, { from, until, threads }) {
  const start = head.window_start_ns;
  const at = (ns) => `${Number((ns / 1e9).toFixed(9))}s`;
  const isWindow = Boolean(exact.summary.filter?.window_ns);
  const range = from !== null ? [from * head.tick_ns, until * head.tick_ns] : isWindow ? [0, exact.summary.trace.duration_ns] : null;
  const time = range ? `${at(start + range[0])}..${at(start + range[1])}` : threads ? null : '..';
  const chosen = Array.from(threads ?? [], (thread) => `thread=${head.threads[thread].tid ?? head.threads[thread].thread}`);
  return [...(time ? [time] : []), ...chosen].flatMap((part) => [option, part]);
}

const quoted = (word) => (/^[\w.\/:=,+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
