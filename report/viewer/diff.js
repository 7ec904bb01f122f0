// The page of a comparison: both call trees as one, as wide as one of four things.

const WIDTHS = {
  larger: ['the larger of both sides', (before, after) => Math.max(before, after)],
  before: ['before', (before) => before],
  after: ['after', (before, after) => after],
  delta: ['the change, more or less', (before, after) => Math.abs(after - before)],
};
// As in Verdict of report, and what is only elsewhere.
const VERDICTS = ['no evidence of a change', 'more', 'less', 'new', 'gone', 'elsewhere'];
const ELSEWHERE = 5;

const comparison = { head: null, document: null, width: 'larger', before: null, after: null, verdict: null, sums: new Map() };

async function readComparison(diff) {
  comparison.head = diff;
  const [columns, document] = await Promise.all([unpackColumns('sums'), unpackJson('comparison'), readCode(diff.nodes)]);
  comparison.document = document;
  const { size } = code.tree;
  const values = (column, scale) => readNumbers(column, new Float64Array(size)).map((weight) => weight * scale);
  const own = [0, 1].map((side) => values(columns[side], diff.scale[side]));
  comparison.own = own;
  const none = new Float64Array(size);
  [comparison.before, comparison.after] = own.map((one) => new Sums(code.tree, one, none).total);
  comparison.verdict = readNumbers(columns[2], new Uint8Array(size));
}

function comparedSums() {
  const { width, own, sums } = comparison;
  if (!sums.has(width)) {
    const of = WIDTHS[width][1];
    const wide = own[0].map((before, node) => of(before, own[1][node]));
    sums.set(width, new Sums(code.tree, wide, wide.map((value) => (value > 0 ? 1 : 0))));
  }
  return sums.get(width);
}

const value = (number) => (number == null ? '–' : number === 0 ? '0' : Math.abs(number) >= 0.01 ? digits(number) : number.toPrecision(2));
const change = (number) => (number > 0 ? '+' : '') + value(number);
const interval = (of) => (of.interval ? `${change(of.interval[0])} to ${change(of.interval[1])}` : '–');

// Orange is more and blue is less, the deeper the more of what there was.
function changeColor(box) {
  const node = box.nodes[0];
  if (!box.above) return 'rgb(228 228 228)';
  const verdict = comparison.verdict[node];
  if (verdict === ELSEWHERE) return 'rgb(182 182 182)';
  if (verdict === 0) return 'rgb(228 228 228)';
  const [before, after] = [comparison.before[node], comparison.after[node]];
  const depth = Math.abs(after - before) / Math.max(before, after, Number.MIN_VALUE);
  const [pale, deep] = after > before ? [[254, 227, 200], [238, 126, 32]] : [[209, 228, 246], [80, 150, 214]];
  return `rgb(${pale.map((from, i) => Math.round(from + (deep[i] - from) * depth)).join(' ')})`;
}

function describeChange(box) {
  const node = box.nodes[0];
  const [before, after] = [comparison.before[node], comparison.after[node]];
  const home = box.above ? moduleOf(box.frame) : '';
  return [
    box.above ? labelOf(box.frame) : 'all',
    ...(home ? [home] : []),
    `before ${value(before)}, after ${value(after)}, ${change(after - before)} ${comparison.head.unit}`,
    VERDICTS[comparison.verdict[node]],
  ];
}

const changeGraph = new FlameGraph('Both call trees, coloured by change', () => topDown(comparedSums()), {
  color: changeColor, describe: describeChange, rootText: () => comparison.head.name,
});

function changeGraphView() {
  lastGraph = changeGraph;
  const widths = Object.entries(WIDTHS).map(([key, [text]]) => [key, text]);
  const wide = choice('Width', comparison.width, widths, (width) => {
    comparison.width = width;
    changeGraph.update();
  });
  const shade = (color, text) => element('span', {}, element('i', { style: { background: color } }), text);
  return {
    node: element('div', { class: 'fill' },
      element('div', { class: 'tools' }, wide, element('button', { onclick: () => changeGraph.zoom(changeGraph.root) }, 'Whole graph (0)')),
      element('div', { class: 'legend' }, shade('rgb(238 126 32)', 'more'), shade('rgb(80 150 214)', 'less'),
        shade('rgb(228 228 228)', 'no evidence of a change'), comparison.verdict.includes(ELSEWHERE) ? shade('rgb(182 182 182)', 'elsewhere: renamed, inlined or moved') : null),
      changeGraph.node),
    update: () => changeGraph.update(),
  };
}

function changeTable(which) {
  const of = (row) => row[which];
  return new Table([
    { title: 'Change', numeric: true, value: (row) => Math.abs(of(row).delta ?? 0), text: (row) => change(of(row).delta) },
    { title: '95 % interval', numeric: true, value: (row) => of(row).interval?.[0] ?? 0, text: (row) => interval(of(row)) },
    { title: 'Before', numeric: true, bar: true, value: (row) => of(row).before, text: (row) => value(of(row).before) },
    { title: 'After', numeric: true, bar: true, value: (row) => of(row).after, text: (row) => value(of(row).after) },
    { title: 'Verdict', value: (row) => of(row).verdict },
    { title: 'Function', value: (row) => row.name },
    { title: 'Module', value: (row) => row.module },
  ], {
    caption: `Functions by ${which}: what there is evidence of first.`,
    attributes: (row) => ({ 'data-function': row.name, 'data-delta': of(row).delta, 'data-verdict': of(row).verdict, class: `verdict-${of(row).verdict.replace(' ', '-')}` }),
  });
}

function changesView() {
  let which = 'self';
  const { document, head: diff } = comparison;
  const { total, before, after } = document;
  const side = (title, one, name) => [title, `${name}: ${count(one.samples)} samples in ${duration(one.duration_ns)}, ${count(one.lost)} lost${one.runs.length > 1 ? `, ${one.runs.length} runs` : ''}`];
  const holder = element('div');
  let table = null;
  const by = choice('Of functions', which, [['self', 'self'], ['total', 'total']], (chosen) => {
    which = chosen;
    show();
  });
  const show = () => {
    table = changeTable(which);
    holder.replaceChildren(table.node);
    fill();
  };
  const fill = () => {
    const pattern = selection.search.toLowerCase();
    table.update(document.functions.filter(({ name, module }) => `${name} ${module}`.toLowerCase().includes(pattern)));
  };
  show();
  return {
    node: element('div', { class: 'scroll page' },
      ...notesBox(document.notes),
      ...document.conditions.map((condition) => element('p', {}, Object.values(condition).filter((part) => typeof part === 'string').join(': '))),
      element('h2', {}, `${diff.event}, in ${diff.unit}`),
      facts([
        side('Before', before, diff.sides[0]), side('After', after, diff.sides[1]),
        ['Change', `${value(total.before)} → ${value(total.after)}, ${change(total.delta)} (95 % interval ${interval(total)}): ${total.verdict}`],
      ]),
      element('div', { class: 'tools' }, by), holder),
    update: fill,
  };
}

const diffViews = new Map([
  ['changes', ['Changes', changesView]],
  ['flame', ['Flame graph', changeGraphView]],
]);
