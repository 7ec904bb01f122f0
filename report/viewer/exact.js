// Waits, system calls and the heap: sums of all that the page was made of, which know
// neither time nor stack; of what is selected there are estimates beside them.

const sumColumns = [
  { title: 'Time', numeric: true, bar: true, value: (row) => row.total_ns ?? 0, text: (row) => duration(row.total_ns) },
  { title: 'Count', numeric: true, value: (row) => row.count, text: (row) => count(row.count) },
  { title: 'Mean', numeric: true, value: (row) => row.mean_ns ?? 0, text: (row) => duration(row.mean_ns) },
  { title: 'p50', numeric: true, value: (row) => row.p50_ns ?? 0, text: (row) => duration(row.p50_ns) },
  { title: 'p99', numeric: true, value: (row) => row.p99_ns ?? 0, text: (row) => duration(row.p99_ns) },
  { title: 'Max', numeric: true, value: (row) => row.max_ns ?? 0, text: (row) => duration(row.max_ns) },
];
const readyColumn = { title: 'Ready', numeric: true, value: (row) => row.ready_ns ?? 0, text: (row) => duration(row.ready_ns) };
const errorsColumn = { title: 'Errors', numeric: true, value: (row) => row.errors ?? 0, text: (row) => count(row.errors) };
const threadColumns = [
  { title: 'Thread', value: (row) => row.thread },
  { title: 'Number', numeric: true, value: (row) => row.tid ?? 0, text: (row) => String(row.tid ?? '–') },
  { title: 'Process', value: (row) => row.process },
];

// A table of rows as `--json` has them, with how many it leaves out.
function shownRows(title, columns, { rows, left_out: left }, options = {}) {
  const table = new Table(columns, options);
  table.update(rows);
  return element('section', {}, element('h2', {}, title), table.node,
    left ? element('p', { class: 'quiet' }, `${count(left)} more are left out; report --limit lists them.`) : null);
}

// How often something took how long, or was how large. Classes double.
function histogram(title, classes, from, number, text) {
  if (!classes?.length) return null;
  const all = classes.reduce((sum, one) => sum + number(one), 0);
  const table = new Table([
    { title: 'From', numeric: true, value: from, text: (one) => text(from(one)) },
    { title: 'Count', numeric: true, bar: true, value: number, text: (one) => count(number(one)) },
    { title: '%', numeric: true, value: number, text: (one) => percent(number(one), all) },
  ], { empty: 'None.' });
  table.update(classes);
  return element('section', {}, element('h2', {}, title), table.node);
}

const durations = (title, sum) => histogram(title, sum?.durations, (one) => one.from_ns, (one) => one.count, duration);

// A row opens what else is known of it, beside the table.
function detailed(title, columns, rows, name) {
  const detail = element('div', { class: 'detail', role: 'status' });
  const attributes = (row) => ({ 'data-name': name(row), 'data-count': row.count, 'data-total-ns': row.total_ns });
  const act = (row) => {
    detail.replaceChildren(durations(`How long ${name(row)} took`, row) ?? 'Single durations are not known.');
    detail.scrollIntoView({ block: 'nearest' });
  };
  return [shownRows(title, columns, rows, { act, attributes }), detail];
}

function stacksList(title, stacks, event) {
  const columns = [
    { title: 'Time', numeric: true, bar: true, value: (row) => row.total.weight, text: (row) => duration(row.total.weight) },
    { title: '%', numeric: true, value: (row) => row.total.weight, text: (row) => percent(row.total.weight, stacks.total.weight) },
    { title: 'Reason', value: (row) => row.reason },
    { title: 'Innermost functions', value: (row) => row.functions.join(' ← ') },
  ];
  const open = head.series.findIndex((one) => one.kind === event);
  return element('div', {}, shownRows(title, columns, stacks), open >= 0 ? element('p', {}, goTo('flame', { series: open }, 'As a flame graph')) : null);
}

// A view that is there or says why it is not.
function exactView(key, none, build) {
  const node = element('div', { class: 'scroll page' });
  let turn = 0;
  return {
    node,
    async update() {
      const mine = ++turn;
      const document = exact[key];
      if (!document) return node.replaceChildren(element('p', { class: 'nothing' }, none));
      const restricted = selection.from !== null || selection.threads || selection.filters.length;
      const parts = build(document.data, document).flat().filter(Boolean);
      if (restricted) {
        const one = head.series.find(({ kind }) => kind === key);
        parts.unshift(one && (await estimates(one)), element('h2', {}, 'Of everything'),
          element('p', { class: 'quiet' }, 'Sums of all that this page was made of, which know neither time nor stack: what is selected above does not change them.'));
      }
      // Something else may have been selected meanwhile.
      if (mine !== turn) return;
      const open = node.scrollTop;
      node.replaceChildren(...parts.filter(Boolean));
      node.scrollTop = open;
      if (key === 'syscalls') await showCalls();
    },
  };
}

// What is selected of an event by its reasons, which stacks end in.
async function estimates(one) {
  const { from, until, threads, filters } = selection;
  await readSeries(one);
  if (from !== null) await readCloseUps(one, from, until);
  const [own, samples] = [new Float64Array(code.tree.size), new Float64Array(code.tree.size)];
  addUp(one, from, until, threads, own, samples);
  const left = nodesLeft(filters);
  const byFrame = new Map();
  for (let node = 1; node < own.length; node++) {
    if (samples[node] === 0 || left[node] < 0) continue;
    const frame = code.tree.frame[node];
    const row = byFrame.get(frame) ?? { frame, weight: 0, samples: 0 };
    byFrame.set(frame, row);
    row.weight += own[node];
    row.samples += samples[node];
  }
  const rows = [...byFrame.values()].sort((a, b) => b.weight - a.weight);
  const all = rows.reduce((sum, row) => sum + row.weight, 0);
  const table = new Table([
    { title: 'Time', numeric: true, bar: true, value: (row) => row.weight, text: (row) => duration(row.weight) },
    { title: '%', numeric: true, value: (row) => row.weight, text: (row) => percent(row.weight, all) },
    { title: 'Samples', numeric: true, value: (row) => row.samples, text: (row) => count(row.samples) },
    { title: one.kind === 'off-cpu' ? 'Reason' : 'Call', value: (row) => reasonText(row.frame) },
  ], {
    empty: nothingText(!one.timed, one),
    act: (row) => select({ view: 'flame', series: head.series.indexOf(one), filters: [...filters, { op: 'keep', arg: code.symbol[row.frame] }] }),
    attributes: (row) => ({ 'data-reason': reasonText(row.frame), 'data-weight': row.weight }),
  });
  table.update(rows);
  return element('section', {}, element('h2', {}, `Of what is selected, about: ${duration(all)} of ${one.title}`),
    element('p', { class: 'quiet' }, 'Estimates: a sample stands for others like it.'), table.node);
}

const waitsView = () => exactView('off-cpu', 'Waits were not recorded: rec --off-cpu records them.', (data) => [
  data.waits && facts([
    ['Waits', count(data.waits.count)], ['Off the CPU', duration(data.waits.total_ns)],
    ['Of that, ready to run', duration(data.waits.ready_ns)], ['Longest', duration(data.waits.max_ns)],
  ]),
  ...detailed('By reason', [{ title: 'Reason', value: (row) => row.reason }, ...sumColumns, readyColumn], data.reasons, (row) => row.reason),
  data.still_waiting.rows.length ? shownRows('Not over at the end', [{ title: 'Reason', value: (row) => row.reason }, ...sumColumns.slice(0, 2)], data.still_waiting) : null,
  stacksList('Where', data.stacks, 'off-cpu'),
  shownRows('Threads', [...threadColumns,
    { title: 'Off CPU', numeric: true, bar: true, value: (row) => row.off_cpu_ns, text: (row) => duration(row.off_cpu_ns) },
    { title: 'Ready', numeric: true, value: (row) => row.ready_ns, text: (row) => duration(row.ready_ns) },
    { title: 'On CPU', numeric: true, value: (row) => row.on_cpu_ns ?? 0, text: (row) => duration(row.on_cpu_ns) },
    { title: 'Waits', numeric: true, value: (row) => row.waits, text: (row) => count(row.waits) },
  ], data.threads),
  durations('How long waits were', data.waits),
]);

const syscallsView = () => exactView('syscalls', 'System calls were not recorded: rec --syscalls records them.', (data) => [
  data.total && facts([
    ['Calls', count(data.total.count)], ['Failed', count(data.failed_total)], ['Time in calls', duration(data.total.total_ns)],
    ['One by one', `${count(data.detail.recorded)} recorded, for ${count(data.detail.stand_for)}`],
  ]),
  ...detailed('By call', [{ title: 'Call', value: (row) => row.syscall }, ...sumColumns, errorsColumn], data.calls, (row) => row.syscall),
  data.failed.rows.length ? shownRows('Failed', [
    { title: 'Call', value: (row) => row.syscall }, { title: 'Error', value: (row) => row.error },
    { title: 'Count', numeric: true, bar: true, value: (row) => row.count, text: (row) => count(row.count) },
  ], data.failed) : null,
  data.in_flight.rows.length ? shownRows('Not seen whole', [
    { title: 'Call', value: (row) => row.syscall },
    { title: 'Begun before', numeric: true, value: (row) => row.at_start }, { title: 'Not over at the end', numeric: true, value: (row) => row.at_end },
  ], data.in_flight) : null,
  data.io_uring.rows.length ? shownRows('By io_uring', [
    { title: 'Operation', value: (row) => row.operation }, { title: 'Count', numeric: true, bar: true, value: (row) => row.count, text: (row) => count(row.count) },
  ], data.io_uring) : null,
  stacksList('Where from', data.stacks, 'syscalls'),
  shownRows('Threads', [...threadColumns, ...sumColumns, errorsColumn], data.threads),
  durations('How long calls took', data.total),
  callsList(),
]);

// An estimate with its margin, or a count.
function estimate(value, text) {
  if (!value) return '–';
  if (value.value === null || value.value === undefined) return '–';
  return value.margin ? `${text(value.value)} ± ${text(value.margin)}` : text(value.value);
}

const heapColumn = (title, of, text, bar) => ({ title, numeric: true, bar, value: (row) => of(row)?.value ?? 0, text: (row) => estimate(of(row), text) });

const heapView = () => exactView('heap', 'Allocations were not recorded: rec --alloc records them.', (data) => {
  const { totals } = data;
  if (!totals) return [element('p', { class: 'nothing' }, 'No allocations are in what this page was made of.')];
  const both = (amounts) => amounts && `${estimate(amounts.bytes, bytes)}, ${estimate(amounts.objects, count)} objects`;
  const places = (title, part, kind) => part?.functions.rows.length ? shownRows(title, placeColumns, part.functions, { attributes: placeAttributes(kind) }) : null;
  return [
    facts([
      ['Allocated', both(totals.allocated)], ['At the peak', both(totals.at_peak)],
      ['Never freed', both(totals.live_at_end)], ['Temporary', both(totals.temporary)],
      ['Sampled', data.interval_bytes ? `one allocation about every ${bytes(data.interval_bytes)}` : 'every allocation'],
    ]),
    ...notesBox(data.notes),
    memoryOverTime(data.over_time),
    places('What allocated most', data.top_allocated, 'top_allocated'),
    places('What was there at the peak', data.top_at_peak, 'top_at_peak'),
    places('What was never freed', data.top_live_at_end, 'top_live_at_end'),
    exact.leaks?.data.sites.rows.length || exact.leaks?.data.suppressed?.by.length ? sites('Places of what was never freed', exact.leaks.data) : null,
    exact.temporary?.data.sites.rows.length ? sites('Places of what was freed at once', exact.temporary.data) : null,
    histogram('Lifetimes', data.lifetimes?.buckets, (one) => one.from_ns, (one) => one.objects, duration),
    histogram('Sizes', data.sizes, (one) => one.from_bytes, (one) => one.allocations ?? 0, bytes),
    shownRows('Threads', [...threadColumns,
      heapColumn('Allocated', (row) => row.allocated?.bytes, bytes, true), heapColumn('At the peak', (row) => row.at_peak?.bytes, bytes),
      heapColumn('Never freed', (row) => row.live_at_end?.bytes, bytes),
    ], data.threads),
  ];
});

const placeColumns = [
  heapColumn('Bytes', (row) => row.bytes, bytes, true),
  heapColumn('Objects', (row) => row.objects, count),
  { title: 'Function', value: (row) => row.function },
  { title: 'Module', value: (row) => row.module },
  { title: 'Called by', value: (row) => row.callers.rows.map((caller) => caller.function).join(', ') },
];

const placeAttributes = (kind) => (row) => ({ 'data-list': kind, 'data-bytes': row.bytes?.value, 'data-objects': row.objects?.value });

function sites(title, data) {
  const columns = [
    heapColumn('Bytes', (row) => row.bytes, bytes, true),
    heapColumn('Objects', (row) => row.objects, count),
    { title: 'Stack, leaf first', value: (row) => row.stack.rows.map((frame) => frame.function).join(' ← ') },
  ];
  const { suppressed } = data;
  const left = suppressed?.by.length ? `Not shown: ${estimate(suppressed.total.bytes, bytes)} in ${estimate(suppressed.total.objects, count)} objects, which --suppressions leaves out.` : null;
  return element('div', {}, shownRows(title, columns, data.sites, { attributes: placeAttributes(data.kind) }), left && element('p', { class: 'quiet' }, left));
}

// Live memory as a curve.
function memoryOverTime(over) {
  if (!over?.live_bytes?.some((value) => value > 0)) return null;
  const most = Math.max(...over.live_bytes);
  const when = (over.live_bytes.indexOf(most) * over.column_ns) / 1e9;
  const canvas = element('canvas', { class: 'curve', role: 'img', 'aria-label': `Live memory over time: at most ${bytes(most)} after ${when.toFixed(2)} s, ${bytes(over.live_bytes.at(-1))} at the end` });
  const draw = () => {
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    const pen = fitted(canvas, width, height);
    pen.fillStyle = styleOf('--activity');
    over.live_bytes.forEach((value, i) => {
      const [a, b] = [i, i + 1].map((column) => Math.round(Math.min((column * over.column_ns) / over.length_ns, 1) * width));
      const tall = ((height - 16) * value) / most;
      pen.fillRect(a, height - tall, Math.max(b - a, 1), tall);
    });
    drawAxis(pen, 0, width, height, 0, over.length_ns / head.tick_ns);
  };
  canvas.drawNow = draw;
  new ResizeObserver(draw).observe(canvas);
  return element('section', {}, element('h2', {}, `Live memory over time, at most ${bytes(most)}`), canvas);
}
