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
  attributes: (call) => ({ 'data-call': call.syscall, 'data-at': call.at_ns }),
});

const callsText = element('input', { type: 'search', placeholder: 'Name, path or error', 'aria-label': 'Search system calls', oninput: () => fillCalls() });
const callsFailed = element('input', { type: 'checkbox', onchange: () => fillCalls() });
const callsSaid = element('span', { class: 'quiet', role: 'status' });

function callsList() {
  if (!hasSection('calls')) return null;
  return element('section', {}, element('h2', {}, 'One by one'),
    element('div', { class: 'tools' }, callsText, element('label', {}, callsFailed, ' only failed'), callsSaid), callsTable.node);
}

async function showCalls() {
  if (!hasSection('calls')) return;
  calls ??= callsOf(await unpackJson('calls'));
  fillCalls();
}

function fillCalls() {
  const { from, until, threads } = selection;
  const text = callsText.value.toLowerCase();
  const keys = threads && new Set([...threads].map((thread) => threadKey(head.threads[thread])));
  const isIn = (call) => call.at_ns !== null && callStart(call) >= from * head.tick_ns && callStart(call) < until * head.tick_ns;
  const shown = calls.rows.filter((call) => (!keys || keys.has(threadKey(call))) && (from === null || isIn(call))
    && (!callsFailed.checked || call.error) && (!text || call.text.toLowerCase().includes(text)));
  callsSaid.textContent = `${count(shown.length)} of ${count(calls.rows.length)} calls`
    + (calls.left ? `; ${count(calls.left)} earlier ones are not on this page: report --syscalls --list has them` : '');
  callsTable.update(shown);
}
