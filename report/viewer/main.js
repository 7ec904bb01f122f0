// Puts the page together.

const traceViews = new Map([
  ['overview', ['Overview', overviewView]],
  ['flame', ['Flame graph', flameView]],
  ['table', ['Table', tableView]],
  ['timeline', ['Timeline', timelineView]],
  ['chart', ['Flame chart', chartView]],
  ['heatmap', ['Heat map', heatmapView]],
  ['sandwich', ['Sandwich', sandwichView]],
  ['source', ['Source', sourceView]],
  ['waits', ['Waits', waitsView]],
  ['syscalls', ['Syscalls', syscallsView]],
  ['heap', ['Heap', heapView]],
]);
let views = traceViews;
let shownView = null;
let shownName = '';

function say(text) {
  byId('status').textContent = text;
}

// Instead of the page, or above what there is of it.
function complain(text) {
  const message = byId('message');
  message.textContent = text;
  message.hidden = false;
}

// What is selected could not be shown; something else may be.
function failed(error) {
  console.error(error);
  complain(`What is selected cannot be shown: ${error.message}.`);
}

function makeHeader() {
  document.title = `${head.name} – rz report`;
  byId('title').textContent = head.name;
  byId('event').replaceChildren(...head.series.map((one, i) => element('option', { value: i }, `${one.title}${one.total.samples ? '' : ' (none)'}`)));
  byId('event').addEventListener('change', (event) => select({ series: Number(event.target.value) }));
  byId('search').addEventListener('input', (event) => select({ search: event.target.value }));
  byId('threads-button').addEventListener('click', threadsDialog);
  byId('export-button').addEventListener('click', exportDialog);
  byId('help-button').addEventListener('click', helpDialog);
  byId('theme-button').addEventListener('click', () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === 'dark';
    document.documentElement.dataset.theme = dark ? 'light' : 'dark';
    follow();
  });
  byId('tabs').replaceChildren(...Array.from(views, ([name, [title]]) =>
    element('button', { role: 'tab', id: `tab-${name}`, 'aria-controls': 'view', onclick: () => select({ view: name }) }, title)));
  byId('tabs').addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    turnTo(step);
    byId(`tab-${selection.view}`).focus();
  });
}

// Goes so many tabs further.
function turnTo(step) {
  const names = [...views.keys()];
  select({ view: names[(names.indexOf(selection.view) + step + names.length) % names.length] });
}

function updateHeader() {
  byId('event').value = selection.series;
  byId('search').placeholder = `Search ${selection.view === 'timeline' ? 'threads' : 'functions'} (/)`;
  byId('search').ariaLabel = byId('search').placeholder;
  if (document.activeElement !== byId('search')) byId('search').value = selection.search;
  byId('threads-button').textContent = selection.threads
    ? selection.threads.size === 1 ? `Thread: ${threadText([...selection.threads][0])}` : `${selection.threads.size} threads` : 'All threads';
  const matches = searched();
  const found = matches ? sums().found(matches) : 0;
  byId('found').textContent = matches ? `${percent(found, sums().all)} in what is found` : '';
  for (const tab of byId('tabs').children) {
    const here = tab.id === `tab-${selection.view}`;
    tab.setAttribute('aria-selected', here);
    tab.tabIndex = here ? 0 : -1;
    if (here) tab.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }
  const chip = (text, remove) => element('span', { class: 'chip', role: 'listitem' }, text, element('button', { 'aria-label': `take back: ${text}`, onclick: remove }, '×'));
  const chips = [];
  if (selection.before) chips.push(chip(`before: ${partText(selection.before)}`, () => select({ before: null })));
  const untimed = series().timed || comparison.head ? '' : `, but ${series().title} has no times`;
  const after = selection.before ? 'after: ' : '';
  if (selection.from !== null) chips.push(chip(after + rangeText(selection.from, selection.until) + untimed, () => select({ from: null, until: null })));
  if (selection.threads) chips.push(chip(after + threadsText(selection.threads), () => select({ threads: null })));
  selection.filters.forEach((filter, i) => {
    chips.push(chip(filterText(filter), () => select({ filters: selection.filters.filter((_, other) => other !== i) })));
  });
  byId('filters').replaceChildren(...chips);
  byId('filters').hidden = chips.length === 0;
}

async function update() {
  updateHeader();
  // Compared with something, views are others.
  const name = [selection.view, isComparing()].join();
  if (shownName !== name) {
    shownName = name;
    hideTip();
    shownView = views.get(selection.view)[1]();
    byId('view').replaceChildren(shownView.node);
    byId('view').setAttribute('aria-labelledby', `tab-${selection.view}`);
  }
  strip.redraw();
  await shownView.update();
  document.documentElement.dataset.ready = `${Number(document.documentElement.dataset.ready ?? 0) + 1}`;
}

async function start() {
  if (!('DecompressionStream' in window)) {
    return complain('This browser cannot unpack the page’s data (it has no DecompressionStream). Open the page in Firefox 113, Chrome 97, Safari 16.4 or later.');
  }
  if (!byId('end')) return complain('This page is incomplete: its end is missing. Copy the file again, or write it again with report --html.');
  head = await unpackJson('head');
  if (head.diff) await startComparison();
  else await startTrace();
  fromFragment(location.hash);
  makeHeader();
  strip.start();
  followers.push(update);
  addEventListener('popstate', () => {
    fromFragment(location.hash);
    follow();
  });
  addEventListener('keydown', onKey);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', follow);
  byId('message').hidden = true;
  say('Press ? for keys.');
  byId('app').hidden = false;
  await follow();
}

const NOTHING = { name: 'none', title: 'anything', spent: '', unit: 'count', kind: 'cpu', none: 'the trace has no events', timed: false, rates: [], total: { samples: 0, weight: 0 }, rows: [] };

async function startTrace() {
  if (!head.series.length) head.series.push(NOTHING);
  [exact] = await Promise.all([unpackJson('views'), readCode(head.nodes)]);
  timeline.start();
  chart.start();
  heatmap.start();
}

// A comparison has one thing to show, of all times and threads.
async function startComparison() {
  const { diff } = head;
  await readComparison(diff);
  const shown = { ...NOTHING, title: diff.event, none: diff.none, total: { samples: 1, weight: 1 } };
  head = { name: diff.name, generator: diff.generator, series: [shown], first: 0, threads: [], span_ns: 0, tick_ns: 1 };
  views = diffViews;
  byId('threads-button').hidden = true;
  byId('event').parentElement.hidden = true;
}

start().catch((error) => complain(`This page cannot be shown: ${error.message}. If the file is incomplete, copy it again.`));
