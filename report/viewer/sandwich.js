// One function, with all its callers and all that it called.

// The function that was chosen, or else the one that did most itself; null if none did
// anything.
function sandwiched() {
  if (selection.symbol !== null) return selection.symbol;
  return sums().functions.reduce((a, b) => (a && a.own >= b.own ? a : b), null)?.symbol ?? null;
}

const callers = new FlameGraph('Callers of the function', () => callersOf(sums(), sandwiched()));
const callees = new FlameGraph('What the function called', () => calleesOf(sums(), sandwiched()));

function sandwichView() {
  const table = functionTable('Functions');
  table.columns.splice(4, 1);
  const title = element('h2');
  const act = (op, text) => element('button', { onclick: () => {
    const symbol = sandwiched();
    if (symbol !== null) addFilter({ op, arg: op === 'module' ? code.moduleNumber[symbol] : symbol });
  } }, text);
  const tools = element('div', { class: 'tools' }, act('focus', 'Focus (f)'), act('keep', 'Only with it (F)'),
    act('collapse', 'Close (c)'), act('drop', 'Drop (d)'), act('merge', 'Merge (m)'), act('module', 'Only its module'), sourceButton());
  const both = element('div', { class: 'sandwich' }, title, tools,
    element('h3', {}, 'Callers'), callers.node, element('h3', {}, 'Callees'), callees.node);
  lastGraph = callees;
  return {
    node: element('div', { class: 'sides' }, element('div', { class: 'scroll side' }, table.node), both),
    update() {
      const rows = searchedFunctions();
      table.update(rows);
      const symbol = sandwiched();
      if (symbol === null) {
        title.textContent = nothingText();
        return;
      }
      const row = sums().functions.find((row) => row.symbol === symbol);
      const name = code.names[symbol];
      const unit = series().unit;
      title.textContent = row
        ? `${labelOf(row.frame)} — self ${amount(row.own, unit)}, total ${amount(row.total, unit)} (${percent(row.total, sums().all)})`
        : `${name} is not in what is selected.`;
      callers.update();
      callees.update();
    },
  };
}
