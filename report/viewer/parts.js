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
  const filters = [...selection.filters, ...withoutRoots(parts)];
  const sums = canCompare() ? parts.map((part) => sumsOf(part, filters)) : [nothingAtAll(), nothingAtAll()];
  const own = !isSameThreads(before.threads, after.threads);
  const lengths = parts.map(lengthOf);
  const key = [selection.series, own, ...lengths].join();
  if (lastCompared.key !== key || sums.some((each, i) => lastCompared.sums[i] !== each)) {
    const rate = hasRates(parts) ? one.rates[own ? 1 : 0] : { factor: 1, unit: one.unit };
    const exposures = parts.map((part, i) => (!hasRates(parts) ? 1 : lengths[i] * (own ? part.threads?.size ?? head.threads.length : 1)));
    const sides = sums.map((each, i) => scaledBy(each, rate.factor / exposures[i]));
    const judged = undecided(parts) ? null : judge(parts, sides, exposures, rate.factor, filters);
    lastCompared = { sums, key, compared: new Compared(sides, rate.unit, judged) };
  }
  return lastCompared.compared;
}

const hasRates = (parts) => series().rates.length > 0 && parts.every((part) => lengthOf(part) > 0);

// What has no times is all in every range of time.
const canCompare = () => series().timed || isSameTime(...selectedParts());

// Why it cannot be said here which changes are more than chance, if so.
function undecided(parts) {
  const { kind } = series();
  if (!canCompare()) return nothingText();
  if (kind === 'alloc') return 'How allocations vary by chance is not in this page.';
  const isAddedUp = ({ from, until }) => partsOf(series(), from, until).some((rows) => rows.time && rows.samples);
  if (parts.some(isAddedUp)) return 'There are so many samples that not each is in this page, and how they vary by chance is not known from these.';
  return '';
}

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
function processesOf(part) {
  const names = new Set();
  for (const [thread, runs] of runsOf(part)) {
    const { process } = head.threads[thread];
    if (!names.has(process) && runs.some(([rows, run]) => hasRowsIn(rows, run, part))) names.add(process);
  }
  return names;
}

function hasRowsIn(rows, run, part) {
  const [start, end] = rowsWithin(rows, run, part);
  for (let row = start; row < end; row++) if (weightWithin(rows, row, part) >= 0) return true;
  return false;
}

// Whether something may be in both, as far as times and threads tell.
function overlap([one, other]) {
  const inTime = one.from === null || other.from === null || (one.from < other.until && other.from < one.until);
  return inTime && (!one.threads || !other.threads || [...one.threads].some((thread) => other.threads.has(thread)));
}

function noiseText({ isTimed }) {
  if (!isTimed[0] && !isTimed[1]) return 'Noise is that of the number of samples alone, since their times are not known; bursts add to it.';
  const other = isTimed[0] && isTimed[1] ? '' : `, and of what is ${isTimed[0] ? 'after' : 'before'} that of the number of samples alone`;
  return `Noise is what slices of time differ by${other}.`;
}

// What both sides are, and what is known of their changes.
function saidOfParts() {
  const parts = selectedParts();
  const { sides, unit, judged } = compared();
  const [was, is] = sides.map((side) => side.all);
  const verdict = judged ? `: ${VERDICTS[judged.all.verdict]} (95 % interval ${interval(judged.all)})` : '';
  const all = element('span', { class: 'all', 'data-before': was, 'data-after': is, 'data-verdict': judged && SHORT_VERDICTS[judged.all.verdict], 'data-interval': judged?.all.interval }, `all: ${value(was)} → ${value(is)}, ${change(is - was)} ${unit}${verdict}`);
  const { command, left } = verdictsBy(...parts);
  const without = left.length ? ` (which has no filter such as ${left.join(' or ')})` : '';
  const unknown = undecided(parts) || (judged ? '' : 'Shares are not tested here.');
  const why = unknown ? `${unknown} Changes have no verdict. Whether they are more than chance, this says:`
    : `${noiseText(judged)} How much such parts differ at other times or in other threads is not known from one on each side: differences may be between these two only.${overlap(parts) ? ' They overlap: what is in both counts on both sides, so that less of a change is seen and proven.' : ''} In a terminal, with what explains the changes:`;
  return [
    ...parts.map((part, i) => element('span', {}, `${['before', 'after'][i]}: ${partText(part)}`)), canCompare() ? all : null,
    element('span', {}, `${why} `, element('code', { class: 'command' }, command), without),
  ].filter(Boolean);
}

// The command that compares both, and the filters that it has no options for.
function verdictsBy(before, after) {
  const words = ['report', '--diff', head.name, ...optionsOf('--before', before), ...optionsOf('--after', after)];
  const { kind, name } = series();
  if (kind === 'alloc') words.push('--heap', '--metric', name.slice(name.indexOf('.') + 1));
  else words.push('--event', name);
  if (selection.width === 'share') words.push('--per', 'share');
  else if (series().rates.length && !hasRates([before, after])) words.push('--per', 'raw');
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
