// What is selected, which every view follows: an event, a range of time, threads, and a
// stack of filters. It is in the address of the page, so that a link shows the same.

const selection = {
  view: 'overview',
  series: 0,
  from: null, // In ticks since the start; null is all.
  until: null,
  threads: null, // A set of indices; null is all.
  filters: [], // { op, arg }, each applied to what the ones before leave.
  search: '',
  inverted: false,
  symbol: null, // The function that is looked at.
  before: null, // What is compared with it: { from, until, threads }.
  width: 'larger', // What frames of a comparison are as wide as.
};

let head = null;
const rowsOf = new Map(); // By section, of all the time.
const closeUps = new Map(); // By section: rows of windows of time, the last ones that were asked for.
const MOST_CLOSE_UPS = 8;
const followers = [];

const series = () => head.series[selection.series];
const allTicks = () => Math.max(1, Math.ceil(head.span_ns / head.tick_ns));

// Of what time and which threads the sums are that are shown, and those compared with them.
const selectedPart = () => ({ from: selection.from, until: selection.until, threads: selection.threads });
const selectedParts = () => (selection.before ? [selection.before, selectedPart()] : [selectedPart()]);

function toFragment() {
  const parts = new URLSearchParams();
  parts.set('view', selection.view);
  if (selection.series !== head.first) parts.set('event', series().name);
  if (selection.from !== null) parts.set('time', `${selection.from}-${selection.until}`);
  if (selection.threads) parts.set('threads', [...selection.threads].join('.'));
  for (const { op, arg } of selection.filters) parts.append('filter', arg == null ? op : `${op}.${arg}`);
  if (selection.search) parts.set('search', selection.search);
  if (selection.inverted) parts.set('inverted', '1');
  if (selection.symbol !== null) parts.set('function', selection.symbol);
  if (selection.before) {
    const { from, until, threads } = selection.before;
    parts.set('before', from === null ? 'all' : `${from}-${until}`);
    if (threads) parts.set('before-threads', [...threads].join('.'));
  }
  if (selection.width !== 'larger') parts.set('width', selection.width);
  return '#' + parts;
}

// Reads an address, of which nothing is believed.
function fromFragment(text) {
  const parts = new URLSearchParams(text.replace(/^#/, ''));
  const number = (part, end) => {
    const value = /^\d+$/.test(part ?? '') ? Number(part) : NaN;
    return value < end ? value : null;
  };
  selection.view = views.has(parts.get('view')) ? parts.get('view') : views.keys().next().value;
  const event = head.series.findIndex((one) => one.name === parts.get('event'));
  selection.series = event < 0 ? head.first : event;
  const part = (time, threads) => {
    const [from, until] = (parts.get(time) ?? '').split('-').map((tick) => number(tick, allTicks() + 1));
    const valid = from != null && until != null && from < until;
    const known = (parts.get(threads) ?? '').split('.').map((thread) => number(thread, head.threads.length)).filter((thread) => thread !== null);
    return { from: valid ? from : null, until: valid ? until : null, threads: known.length ? new Set(known) : null };
  };
  // A comparison of traces is of all times and stacks.
  Object.assign(selection, comparison.head ? { from: null, until: null, threads: null } : part('time', 'threads'));
  const before = part('before', 'before-threads');
  const isKept = !comparison.head && (before.from !== null || parts.get('before') === 'all');
  selection.before = isKept ? before : null;
  selection.width = Object.hasOwn(WIDTHS, parts.get('width') ?? '') ? parts.get('width') : 'larger';
  const filters = comparison.head ? [] : parts.getAll('filter');
  selection.filters = filters.map((part) => {
    const [op, arg] = part.split('.');
    return { op, arg: number(arg, op === 'module' ? code.moduleNames.length : code.names.length) };
  }).filter(({ op, arg }) => Object.hasOwn(FILTERS, op) && (arg !== null || ['recursion', 'runtime', 'nokernel'].includes(op)));
  selection.search = parts.get('search') ?? '';
  selection.inverted = parts.has('inverted') && !comparison.head;
  selection.symbol = number(parts.get('function'), code.names.length);
}

// Changes what is selected. What makes a new picture can be gone back from.
function select(changes) {
  Object.assign(selection, changes);
  const fragment = toFragment();
  if (fragment !== location.hash) {
    const search = Object.keys(changes).join() === 'search';
    history[search ? 'replaceState' : 'pushState'](null, '', fragment);
  }
  follow();
}

let following = 0;
async function follow() {
  const turn = ++following;
  try {
    await readSeries(series());
    if (turn !== following) return;
    const one = series();
    const asked = selectedParts().filter(({ from, until }) => lacking(one, from, until).length > 0);
    document.documentElement.toggleAttribute('data-asking', asked.length > 0);
    if (asked.length) say('This range is read again; until then it is as coarse as the whole …');
    forgetCompared();
    await Promise.all(followers.map((follower) => follower()));
    if (asked.length) {
      await Promise.all(asked.map(({ from, until }) => readCloseUps(one, from, until)));
      if (turn !== following) return;
      knownSums.clear();
      forgetCompared();
      const isPart = asked.some(({ from, until }) => partsOf(one, from, until).some((rows) => rows.samples && !rows.duration));
      const rest = isPart ? ': as there are so many samples in it, some stand for others' : '';
      say(`${asked.map(({ from, until }) => rangeText(from, until)).join(' and ')} was read again${rest}.`);
      await Promise.all(followers.map((follower) => follower()));
    }
    if (turn !== following) return;
    document.documentElement.toggleAttribute('data-asking', false);
    byId('message').hidden = true;
  } catch (error) {
    failed(error);
  }
}

async function readSeries(one) {
  await Promise.all(one.rows.filter(([, rows]) => rows > 0).map(async ([section]) => {
    if (rowsOf.has(section)) return;
    rowsOf.set(section, await readRows(await unpackColumns(section)));
    knownSums.clear();
  }));
}

// Sections of which a server may have more in a window of time: rows that are here are
// added up in slices, which are not of just this window.
function lacking(one, from, until) {
  if (!head.served || from === null) return [];
  return one.rows.map(([section]) => section).filter((section) => {
    const known = closest(section, from, until);
    return known?.samples && !(known.from === from && known.until === until);
  });
}

// Asks a server for those.
async function readCloseUps(one, from, until) {
  await Promise.all(lacking(one, from, until).map(async (section) => {
    const rows = await readRows(columnsOf(await ask(`${section}?time=${from}-${until}`)));
    const others = (closeUps.get(section) ?? []).slice(1 - MOST_CLOSE_UPS);
    closeUps.set(section, [...others, Object.assign(rows, { from, until })]);
  }));
}

// Of the rows of a section those of the shortest time around a window.
function closest(section, from, until) {
  const around = from === null ? [] : (closeUps.get(section) ?? []).filter((rows) => rows.from <= from && rows.until >= until);
  return around.sort((a, b) => a.until - a.from - b.until + b.from)[0] ?? rowsOf.get(section);
}

// The rows of an event, as far as they have been read: at least those in a window of time,
// without one all there are.
const partsOf = (one, from = null, until = null) => one.rows.map(([section]) => closest(section, from, until)).filter(Boolean);

function firstAfter(times, start, end, time) {
  while (start < end) {
    const middle = (start + end) >> 1;
    if (times[middle] < time) start = middle + 1;
    else end = middle;
  }
  return start;
}

// Adds up the rows that a range of time and threads select, by node or by end.
function addUp(one, from, until, threads, own, samples, by = 'node') {
  for (const rows of partsOf(one, from, until)) {
    for (const run of rows.runs) {
      if (!threads || threads.has(run.thread)) addRun(rows, run, from, until, own, samples, by);
    }
  }
}

// Those of one thread. Of an interval, the part in the range counts.
function addRun(rows, run, from, until, own, samples, by) {
  const { [by]: node, weight, samples: counts } = rows;
  const part = { from, until };
  const [start, end] = rowsWithin(rows, run, part);
  if (isWithin(rows, part)) {
    for (let row = start; row < end; row++) {
      own[node[row]] += weight[row];
      samples[node[row]] += counts ? counts[row] : 1;
    }
    return;
  }
  for (let row = start; row < end; row++) {
    const inside = weightWithin(rows, row, part);
    if (inside < 0) continue;
    own[node[row]] += inside;
    samples[node[row]] += counts ? counts[row] : 1;
  }
}

// The first of a thread's rows that may be in a range of time, and the one after the last.
function rowsWithin(rows, { start, end }, part) {
  if (isWithin(rows, part)) return [start, end];
  const { time, duration } = rows;
  return [duration ? start : firstAfter(time, start, end, part.from), firstAfter(time, start, end, part.until)];
}

// Whether rows are all in a range of time: they are of just this one, and cut where it is.
const isWithin = (rows, { from, until }) => from === null || (rows.from === from && rows.until === until) || !rows.time;

// What of one of these is in the range; below 0 if it is not there.
function weightWithin(rows, row, part) {
  const { time, duration, weight } = rows;
  if (isWithin(rows, part)) return weight[row];
  const { from, until } = part;
  if (!duration || duration[row] === 0) return time[row] < from ? -1 : weight[row];
  const stop = time[row] + duration[row];
  if (stop <= from) return -1;
  const share = (Math.min(stop, until) - Math.max(time[row], from)) / duration[row];
  return share === 1 ? weight[row] : Math.round(weight[row] * share);
}

// The rows that there are of each thread of a part, by section.
function runsOf({ from, until, threads }) {
  const runs = new Map();
  for (const rows of partsOf(series(), from, until)) {
    for (const run of rows.runs) {
      if (threads && !threads.has(run.thread)) continue;
      if (!runs.has(run.thread)) runs.set(run.thread, []);
      runs.get(run.thread).push([rows, run]);
    }
  }
  return runs;
}

// Weights of rows, 0 of those that filters leave out.
function weightsLeft(rows) {
  if (!selection.filters.length) return rows.weight;
  const key = JSON.stringify(selection.filters);
  if (rows.left?.key !== key) {
    const nodes = nodesLeft(selection.filters);
    rows.left = { key, weight: rows.weight.map((weight, row) => (nodes[rows.node[row]] < 0 ? 0 : weight)) };
  }
  return rows.left.weight;
}

// What graphs are as wide as.
const sums = () => (isComparing() ? compared().widths : selectedSums());

// Sums of what is selected, over the tree that filters leave.
const selectedSums = () => sumsOf(selectedPart(), selection.filters);

const knownSums = new Map(); // The last ones: of what is selected and of what is compared with it.
const MOST_SUMS = 3;

function sumsOf(part, filters) {
  const key = JSON.stringify([selection.series, part.from, part.until, part.threads && [...part.threads], filters]);
  const known = knownSums.get(key) ?? addedUp(part, filters);
  knownSums.delete(key);
  knownSums.set(key, known);
  if (knownSums.size > MOST_SUMS) knownSums.delete(knownSums.keys().next().value);
  return known;
}

function addedUp({ from, until, threads }, filters) {
  const { tree, steps } = filteredTree(filters);
  const own = new Float64Array(code.tree.size);
  const samples = new Float64Array(code.tree.size);
  addUp(series(), from, until, threads, own, samples);
  return new Sums(tree, ...passedOn(steps, tree, own, samples));
}

// Which frames the search finds; null without one.
let lastMatches = { search: null, matches: null };
function searched() {
  const { search } = selection;
  if (!search) return null;
  if (lastMatches.search !== search) {
    let test;
    try {
      const pattern = new RegExp(search, search === search.toLowerCase() ? 'i' : '');
      test = (text) => pattern.test(text);
    } catch {
      test = (text) => text.includes(search);
    }
    const bySymbol = code.names.map((name, symbol) => test(name) || test(code.modules[symbol]));
    const matches = Uint8Array.from(code.symbol, (symbol, frame) => (code.isFunction[frame] && bySymbol[symbol] ? 1 : 0));
    lastMatches = { search, matches };
  }
  return lastMatches.matches;
}
