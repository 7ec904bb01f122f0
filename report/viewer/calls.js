// System calls one by one, of the threads and the time that are selected.

let calls = null; // Once they were asked for.

const callTime = (call) => (call.at_ns === null ? 'before' : moment(call.at_ns, 1e5));

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
  if (!byId('calls')) return null;
  showCalls();
  return element('section', {}, element('h2', {}, 'One by one'),
    element('div', { class: 'tools' }, callsText, element('label', {}, callsFailed, ' only failed'), callsSaid), callsTable.node);
}

async function showCalls() {
  calls ??= await unpackJson('calls');
  fillCalls();
}

function fillCalls() {
  const { from, until, threads } = selection;
  const text = callsText.value.toLowerCase();
  const tids = threads && new Set([...threads].map((thread) => head.threads[thread].tid));
  const shown = calls.calls.filter((call) => (!tids || tids.has(call.tid))
    && (from === null || (call.at_ns !== null && call.at_ns >= from * head.tick_ns && call.at_ns < until * head.tick_ns))
    && (!callsFailed.checked || call.error) && (!text || call.text.toLowerCase().includes(text)));
  callsSaid.textContent = `${count(shown.length)} of ${count(calls.calls.length)} calls`
    + (calls.left_out ? `; ${count(calls.left_out)} earlier ones are not on this page: report --syscalls --list has them` : '');
  callsTable.update(shown);
}
