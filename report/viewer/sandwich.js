// One function, with all its callers and all that it called.

// The function that was chosen, or else the one that did most itself; null if none did
// anything.
function sandwiched() {
  if (selection.symbol !== null) return selection.symbol;
  const { symbols, own } = sums().bySymbol;
  return symbols.reduce((most, symbol) => (most !== null && own[most] >= own[symbol] ? most : symbol), null);
}

const callers = new FlameGraph('Callers of the function', () => callersOf(sums(), sandwiched()));
const callees = new FlameGraph('What the function called', () => calleesOf(sums(), sandwiched()));

// What it is in what is selected, or in both sides of a comparison.
function aboutFunction(symbol) {
  const isIt = (row) => row.symbol === symbol;
  const row = isComparing() ? compared().both.find(isIt) : selectedSums().functions.find(isIt);
  if (!row) return `${code.names[symbol]} is not in what is selected.`;
  if (isComparing()) {
    const [own, total] = [row.self, row.total].map(({ before, after }) => `${value(before)} → ${value(after)}`);
    const { verdict } = row.total;
    return `${labelOf(row.frame)} — self ${own}, total ${total} ${compared().unit}${verdict ? `: ${VERDICTS[SHORT_VERDICTS.indexOf(verdict)]}` : ''}`;
  }
  const { unit } = series();
  return `${labelOf(row.frame)} — self ${amount(row.own, unit)}, total ${amount(row.total, unit)} (${percent(row.total, selectedSums().all)})`;
}

function sandwichView() {
  const bar = isComparing() ? comparisonBar() : null;
  const table = bar ? changesTable({ brief: true }) : functionTable('Functions');
  if (!bar) table.columns.splice(4, 1);
  const title = element('h2');
  const act = (op, text) => element('button', { onclick: () => {
    const symbol = sandwiched();
    if (symbol !== null) addFilter({ op, arg: op === 'module' ? code.moduleNumber[symbol] : symbol });
  } }, text);
  const tools = comparison.head ? null : element('div', { class: 'tools' }, act('focus', 'Focus (f)'), act('keep', 'Only with it (F)'),
    act('collapse', 'Close (c)'), act('drop', 'Drop (d)'), act('merge', 'Merge (m)'), act('module', 'Only its module'), sourceButton());
  const both = element('div', { class: 'sandwich' }, bar?.node, title, tools,
    element('h3', {}, 'Callers'), callers.node, element('h3', {}, 'Callees'), callees.node);
  lastGraph = callees;
  return {
    node: element('div', { class: 'sides' }, element('div', { class: 'scroll side' }, bar ? element('div', { class: 'tools' }, table.by) : null, table.node), both),
    update() {
      bar?.update();
      table.update(bar ? null : searchedFunctions());
      const symbol = sandwiched();
      if (symbol === null) {
        title.textContent = nothingText();
        return;
      }
      title.textContent = aboutFunction(symbol);
      callers.update();
      callees.update();
    },
  };
}
