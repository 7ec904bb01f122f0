// System calls one by one, of the threads and the time that are selected.

let calls = null; // Once they were asked for.

// Rows of columns.
function callsOf({ left_out: left, after_ns: after, ...columns }) {
  let now = 0;
  const rows = after.map((distance, i) => {
    now += distance ?? 0;
    const row = { at_ns: distance === null ? null : now };
    for (const [name, column] of Object.entries(columns)) row[name] = column[i];
    return row;
  });
  return { rows, left };
}

// Calls count from the start of the recording, and all else on the page from that of the
// window of time that it was made of.
const callStart = (call) => call.at_ns - head.window_start_ns;
const callTime = (call) => (call.at_ns === null ? 'before' : moment(callStart(call), 1e5));
const threadKey = ({ pid, tid }) => `${pid}.${tid}`;

const callsTable = new Table([
  { title: 'At', numeric: true, value: (call) => call.at_ns ?? -1, text: callTime },
  { title: 'Thread', numeric: true, value: (call) => call.tid ?? 0, text: (call) => String(call.tid ?? '–') },
  { title: 'Took', numeric: true, bar: true, value: (call) => call.duration_ns ?? 0, text: (call) => duration(call.duration_ns) },
  { title: 'Call', value: (call) => call.text },
], {
  empty: 'No call is in what is selected.',
  attributes: (call) => ({ 'data-call': call.syscall, 'data-at': call.at_ns, 'data-end': call.end }),
  act: (call) => showStack(call),
});

// Names of threads are not in the section.
let threadNames = null;
function threadNameOf(call) {
  threadNames ??= new Map(head.threads.map((thread) => [threadKey(thread), thread.thread]));
  return `${threadNames.get(threadKey(call)) ?? ''} ${call.tid ?? ''}`;
}

// What each field looks for its text in. Paths are between quotes, or behind numbers of files.
const CALL_FIELDS = {
  thread: ['Thread', threadNameOf], name: ['Name', (call) => call.syscall], error: ['Error', (call) => call.error ?? ''],
  path: ['Path', (call) => (call.text.match(/"[^"]*"|<[^>]*>/g) ?? []).join(' ')],
};
const callsFields = Object.entries(CALL_FIELDS).map(([key, [title, of]]) => ({
  of, input: element('input', { type: 'search', class: 'short', placeholder: title, 'aria-label': `Calls by ${key}`, oninput: () => fillCalls() }),
}));
const callStack = element('div', { class: 'call-stack', role: 'status' });
const callsFailed = element('input', { type: 'checkbox', onchange: () => fillCalls() });
const callsSaid = element('span', { class: 'quiet', role: 'status' });

function callsList() {
  if (!hasSection('calls')) return null;
  return element('section', {}, element('h2', {}, 'One by one'),
    element('div', { class: 'tools' }, ...callsFields.map(({ input }) => input), element('label', {}, callsFailed, ' only failed'), callsSaid), callStack, callsTable.node);
}

async function showCalls() {
  if (!hasSection('calls')) return;
  calls ??= callsOf(await unpackJson('calls'));
  await readEnds();
  fillCalls();
}

function fillCalls() {
  const { from, until, threads } = selection;
  const asked = callsFields.filter(({ input }) => input.value).map(({ of, input }) => [of, input.value.toLowerCase()]);
  const keys = threads && new Set([...threads].map((thread) => threadKey(head.threads[thread])));
  const isIn = (call) => call.at_ns !== null && callStart(call) >= from * head.tick_ns && callStart(call) < until * head.tick_ns;
  const shown = calls.rows.filter((call) => (!keys || keys.has(threadKey(call))) && (from === null || isIn(call))
    && (!callsFailed.checked || call.error) && asked.every(([of, text]) => of(call).toLowerCase().includes(text)));
  callsSaid.textContent = `${count(shown.length)} of ${count(calls.rows.length)} calls`
    + (calls.left ? `; ${count(calls.left)} earlier ones are not on this page: report --syscalls --list has them` : '');
  callsTable.update(shown);
}

// Where a call was made, above the list while that is scrolled.
function showStack(call) {
  const frames = [];
  for (let node = call.end === null ? ROOT : ends[call.end]; node !== ROOT; node = code.tree.parent[node]) frames.push(code.tree.frame[node]);
  const line = (frame) => element('li', {}, code.isFunction[frame] ? goTo('sandwich', { symbol: code.symbol[frame], series: head.series.findIndex((one) => one.kind === 'syscalls') }, labelOf(frame)) : labelOf(frame),
    element('span', { class: 'quiet' }, ` ${moduleOf(frame)}`));
  const close = element('button', { 'aria-label': 'Close', onclick: () => callStack.replaceChildren() }, '×');
  callStack.replaceChildren(element('h3', {}, `${call.text}: its stack, leaf first `, close), frames.length ? element('ol', { class: 'stack' }, ...frames.map(line))
    : element('p', { class: 'nothing' }, 'The stack of this call is not here: it was not recorded, as stacks are of a part of all calls, or calls are added up in slices of time.'));
}
