// What was recorded, what is missing, and where to look.

let exact = null; // Views as `report --json` has them.
const FIRST_ITEMS = 5; // Others are folded.

const countedSamples = (number) => `${count(number)} ${number === 1 ? 'sample' : 'samples'}`;

function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return element('dl', {}, ...shown.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]));
}

const goTo = (view, changes, text) => element('button', { class: 'link', onclick: () => select({ view, ...changes }) }, text);

function overviewView() {
  const node = element('div', { class: 'scroll page' });
  return { node, update: () => node.replaceChildren(...overview()) };
}

function overview() {
  const { trace, quality, notes, filter } = exact.summary;
  const range = selection.from === null ? '' : ` from ${rangeText(selection.from, selection.until)}`;
  const only = range || selection.threads || selection.filters.length ? `, of what is selected${range}` : '';
  const top = firstOf(selectedSums().functions, 10, (a, b) => b.own - a.own);
  return [
    ...findings(exact.doctor?.data.findings ?? []),
    ...notesBox([...head.notes, ...notes]),
    ...notesBox(exact.heap?.data.notes ?? [], goTo('heap', {}, 'Heap')),
    missing(quality, trace),
    element('h2', {}, 'Recorded'),
    facts([
      ['From', trace.start_unix_ns ? new Date(trace.start_unix_ns / 1e6).toISOString().replace('T', ' ').replace('Z', ' UTC') : null],
      ['For', `${duration(trace.duration_ns)}${trace.recordings.length > 1 ? ', the sum of all recordings' : ''}`],
      ['Selected', filter?.text],
      ['Threads', count(head.threads.length)],
      ['Cost of recording', trace.recorder_cpu_ns ? `${duration(trace.recorder_cpu_ns)} of CPU (${percent(trace.recorder_cpu_ns, trace.duration_ns)} of one), at most ${bytes(trace.recorder_peak_bytes)} of memory` : null],
      ['Redacted', trace.redacted.map(({ what, count: n }) => `${what}: ${count(n)}`).join(', ')],
      ['Made by', exact.summary.generator],
    ]),
    ...besides(exact.summary.data.overview),
    ...trace.recordings.map((one) => facts([
      ['Recording', trace.recordings.length > 1 ? one.label : null],
      ['Host', [one.host, one.os, one.cpus && `${one.cpus} CPUs`].filter(Boolean).join(', ')],
      ['Command', one.command.join(' ')],
      ['Recorder', [one.recorder, one.tier].filter(Boolean).join(', ')],
    ])),
    element('h2', {}, 'Events'),
    eventsTable().node,
    ...(series().total.samples ? [
      element('h2', {}, `Most ${series().title} by themselves${only}`),
      topTable(top).node,
      element('p', {}, goTo('flame', {}, 'Flame graph'), ' · ', goTo('table', {}, 'All functions'), ' · ', goTo('timeline', {}, 'Threads over time')),
    ] : [element('p', { class: 'nothing' }, nothingText())]),
  ];
}

// What rules found, as --doctor has it.
function findings(found) {
  if (!found.length) return [];
  const one = ({ severity, title, evidence, but, next }) => element('li', { class: severity },
    element('details', {}, element('summary', {}, `${severity}: ${title}`),
      element('ul', {}, ...[...evidence, but && `But: ${but}`].filter(Boolean).map((text) => element('li', {}, text))),
      element('pre', {}, next.join('\n'))));
  return [element('section', { class: 'findings' }, element('h2', {}, 'Findings'), firstOnes(found.map(one)))];
}

// A list of which many items do not hide what comes below.
function firstOnes(items) {
  const first = items.slice(0, FIRST_ITEMS);
  const more = items.slice(FIRST_ITEMS);
  if (more.length) first.push(element('li', {}, element('details', {}, element('summary', {}, `${count(more.length)} more`), element('ul', {}, ...more))));
  return element('ul', {}, ...first);
}

// What it did besides running, of all that the page was made of; each leads to its view.
function besides({ on_cpu: cpu, waiting, idle, syscalls, memory }) {
  const named = ({ rows, left_out: left }, name) =>
    [...rows.map((row) => `${row[name]} ${duration(row.total_ns)}`), left ? `${count(left)} more` : null].filter(Boolean).join(', ');
  const link = (view, text) => (text ? goTo(view, {}, text) : null);
  return [facts([
    ['On CPU', link('timeline', cpu && `${cpu.complete ? '' : 'at least '}${duration(cpu.ran_ns)} = ${(cpu.ran_ns / Math.max(cpu.in_ns, 1)).toFixed(2)} cores by the scheduler’s count; threads waited ${duration(cpu.ready_ns)} for a CPU`)],
    ['Waiting', link('waits', waiting && `${duration(waiting.total_ns)}: ${named(waiting.reasons, 'reason')}`)],
    ['Idle', link('waits', idle && `${duration(idle.total_ns)} by design: ${named(idle.reasons, 'reason')}`)],
    ['Calls', link('syscalls', syscalls && `${count(syscalls.count)} in ${duration(syscalls.total_ns)}, ${count(syscalls.errors)} failed: ${named(syscalls.calls, 'syscall')}`)],
    ['Memory', link('heap', memory && `${estimate(memory.allocated.bytes, bytes)} allocated, ${estimate(memory.at_peak.bytes, bytes)} at the peak, ${estimate(memory.live_at_end.bytes, bytes)} never freed`)],
  ])];
}

// `link`: to the view that they are about.
function notesBox(notes, link = null) {
  const unique = [...new Set(notes)];
  return unique.length ? [element('section', { class: 'notes' }, element('h2', {}, 'To know', link && ' of the ', link), firstOnes(unique.map((note) => element('li', {}, note))))] : [];
}

// What is missing, or that nothing is. Of stacks and names, that is known of the event of
// each view.
function missing(quality, trace) {
  const byEvent = new Map(['summary', 'off-cpu', 'syscalls', 'heap'].map((view) => exact[view]).filter((view) => view?.event?.total.samples).map((view) => [view.event.name, view.quality]));
  const titleOf = (event) => head.series.find(({ name }) => name === event || name.startsWith(`${event}.`))?.title ?? event;
  const items = [];
  for (const { what, count: n, reasons } of quality.lost) {
    const why = reasons.map((reason) => `${reason.what}${reason.count ? ` (${count(reason.count)})` : ''}`).join(', ');
    const loss = head.losses.find((one) => one.what === what);
    items.push([`${n === null ? 'An unknown number of' : count(n)} ${what} lost${why ? `: ${why}` : ''} `,
      loss && element('button', { class: 'link', onclick: () => lookAtTime(loss) }, 'when')]);
  }
  for (const [event, { truncated, unnamed_samples: unnamed }] of byEvent) {
    const one = head.series.findIndex(({ name }) => name === event || name.startsWith(`${event}.`));
    const where = (view, text) => one >= 0 && goTo(view, { series: one }, text);
    for (const { what, count: n } of truncated) items.push([`${countedSamples(n)} of ${titleOf(event)} with a truncated stack: ${what} `, where('flame', 'which')]);
    if (unnamed) items.push([`${countedSamples(unnamed)} of ${titleOf(event)} in functions without a name `, where('table', 'which')]);
  }
  for (const { what, why } of quality.inexact_sums) items.push(`Sums of ${what} are not exact: ${why}`);
  for (const one of trace.recordings) if (one.cut_short) items.push(`The recording ${one.label ?? ''} was cut short: its recorder was killed`);
  if (!items.length) {
    const stacks = byEvent.size ? `, and every stack of ${[...byEvent.keys()].map(titleOf).join(', ')} is complete` : '';
    return element('p', { class: 'good' }, `✓ Nothing is known to be lost${stacks}.`);
  }
  return element('section', { class: 'missing' }, element('h2', {}, 'What is missing'), element('ul', {}, ...items.map((item) => element('li', {}, ...[item].flat().filter(Boolean)))));
}

function eventsTable() {
  const table = new Table([
    { title: 'Event', value: (one) => one.title },
    { title: 'Total', numeric: true, value: (one) => one.total.weight, text: (one) => `${amount(one.total.weight, one.unit)}` },
    { title: 'Samples', numeric: true, value: (one) => one.total.samples, text: (one) => count(one.total.samples) },
    { title: 'What', value: (one) => (one.total.samples ? one.spent : one.none) },
  ], {
    empty: 'The trace has no events.',
    act: (one) => select({ view: 'flame', series: head.series.indexOf(one) }),
    attributes: (one) => ({ 'data-event': one.name, 'data-weight': one.total.weight, 'data-samples': one.total.samples }),
  });
  table.update(head.series);
  return table;
}

function topTable(rows) {
  const table = functionTable('');
  table.columns.splice(4, 1);
  table.update(rows);
  return table;
}
