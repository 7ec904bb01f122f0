// Both sides of a comparison over one tree: of the page of a comparison, or of what is
// selected on the page of a trace and what was kept there before.

const larger = (before, after) => Math.max(before, after);
const WIDTHS = {
  larger: ['the larger of both sides', larger],
  before: ['before', (before) => before],
  after: ['after', (before, after) => after],
  delta: ['the change, more or less', (before, after) => Math.abs(after - before)],
  share: ['the larger share of its side', larger],
};
// As in Verdict of report, and what is only elsewhere.
const VERDICTS = ['no evidence of a change', 'more', 'less', 'new', 'gone', 'elsewhere'];
const ELSEWHERE = 5;
// As in --json.
const SHORT_VERDICTS = ['no evidence', ...VERDICTS.slice(1, ELSEWHERE)];
const hasChanged = (of) => Boolean(of.verdict) && of.verdict !== SHORT_VERDICTS[0];

// What the page of a comparison has.
const comparison = { head: null, document: null, compared: null };

const isComparing = () => comparison.head !== null || selection.before !== null;

class Compared {
  // Sums of each side in one unit, and what is said of changes, if anything: verdicts of the
  // totals of nodes, and tests of functions by symbol.
  constructor(sides, unit, judged = null) {
    Object.assign(this, { sides, unit, judged, verdicts: judged?.verdicts ?? null, known: new Map(), rows: null });
  }

  // As wide as what was chosen of both sides.
  get widths() {
    const { width } = selection;
    if (!this.known.has(width)) {
      const [before, after] = this.sides;
      const wide = before.own.map((own, node) => WIDTHS[width][1](own, after.own[node]));
      this.known.set(width, new Sums(before.tree, wide, wide.map((value) => (value > 0 ? 1 : 0))));
    }
    return this.known.get(width);
  }

  // Of which verdicts say nothing.
  get shares() {
    this.shared ??= new Compared(this.sides.map((side) => scaledBy(side, side.all > 0 ? 100 / side.all : 0)), '% of its side');
    return this.shared;
  }

  values(box) {
    if (box.comparedIn !== this) {
      box.comparedIn = this;
      box.values = this.sides.map((side) => box.of(side[box.which]));
    }
    return box.values;
  }

  // null if nothing is known.
  verdict(box) {
    return this.verdicts && box.which === 'total' && box.nodes.length === 1 ? this.verdicts[box.nodes[0]] : null;
  }

  // Functions with values of both sides, and what is said of their changes.
  get both() {
    if (this.rows) return this.rows;
    const sides = this.sides.map((side) => side.bySymbol);
    const [one, other] = sides;
    const symbols = [...one.symbols, ...other.symbols.filter((symbol) => one.totalSamples[symbol] === 0)];
    this.rows = symbols.map((symbol) => {
      const of = (which, by) => {
        const [before, after] = [one[which][symbol], other[which][symbol]];
        const found = this.judged?.[by].get(symbol);
        const verdict = this.judged && SHORT_VERDICTS[found?.verdict ?? 0];
        return { before, after, delta: after - before, interval: found?.interval ?? null, verdict };
      };
      const { frame } = one.totalSamples[symbol] > 0 ? one : other;
      return { symbol, frame: frame[symbol], name: code.names[symbol], module: code.modules[symbol], self: of('own', 'self'), total: of('total', 'total') };
    });
    return this.rows;
  }
}

// What there is evidence of first, then what changed most.
const byChange = (which) => (a, b) =>
  hasChanged(b[which]) - hasChanged(a[which]) || Math.abs(b[which].delta) - Math.abs(a[which].delta);

// One side often stays while the other one is chosen.
function scaledBy(sums, factor) {
  if (sums.scaled?.factor !== factor) {
    sums.scaled = { factor, sums: new Sums(sums.tree, sums.own.map((weight) => weight * factor), sums.samples) };
  }
  return sums.scaled.sums;
}

function compared() {
  const one = comparison.compared ?? comparedParts();
  return selection.width === 'share' ? one.shares : one;
}

async function readComparison(diff) {
  comparison.head = diff;
  const [columns, document] = await Promise.all([unpackColumns('sums'), unpackJson('comparison'), readCode(diff.nodes)]);
  comparison.document = document;
  nameRows(document.functions);
  nameRows(document.what_changed);
  const { size } = code.tree;
  const sides = [0, 1].map((side) => {
    const own = readNumbers(columns[side], new Float64Array(size)).map((weight) => weight * diff.scale[side]);
    return new Sums(code.tree, own, own.map((value) => (value > 0 ? 1 : 0)));
  });
  const of = (by) => new Map(document.functions.map(({ symbol, [by]: { interval, verdict } }) => [symbol, { interval, verdict: SHORT_VERDICTS.indexOf(verdict) }]));
  comparison.compared = new Compared(sides, diff.unit, { verdicts: readNumbers(columns[2], new Uint8Array(size)), self: of('self'), total: of('total') });
}

// Which functions of the page rows of `--diff --json` are.
function nameRows(rows) {
  const key = (name, module) => `${name}\0${module}`;
  const symbols = new Map(code.names.map((name, symbol) => [key(name, code.modules[symbol]), symbol]));
  const frames = new Map(Array.from(code.symbol, (symbol, frame) => [symbol, frame]));
  for (const row of rows) {
    row.symbol = symbols.get(key(row.name ?? row.function, row.module));
    row.frame = frames.get(row.symbol);
  }
}

const value = (number) => (number == null ? '–' : number === 0 ? '0' : Math.abs(number) >= 0.01 ? digits(number) : number.toPrecision(2));
const change = (number) => (number > 0 ? '+' : '') + value(number);
const interval = (of) => (of.interval ? `${change(of.interval[0])} to ${change(of.interval[1])}` : '–');

const [MORE, LESS, SAME, MOVED] = [[238, 126, 32], [80, 150, 214], [228, 228, 228], [182, 182, 182]];
const colorText = (color) => `rgb(${color.join(' ')})`;

// Orange is more and blue is less, the deeper the more of what there was.
function changeColor(box) {
  const [before, after] = compared().values(box);
  const verdict = compared().verdict(box);
  if (verdict === ELSEWHERE && box.above) return colorText(MOVED);
  if (!box.above || verdict === 0 || before === after) return colorText(SAME);
  const depth = Math.abs(after - before) / Math.max(before, after);
  const [evident, deep] = after > before ? [[254, 227, 200], MORE] : [[209, 228, 246], LESS];
  const pale = verdict === null ? SAME : evident; // Small changes do not stand out without a verdict.
  return colorText(pale.map((from, i) => Math.round(from + (deep[i] - from) * depth)));
}

function describeChange(box) {
  const [before, after] = compared().values(box);
  const verdict = compared().verdict(box);
  const home = box.above ? moduleOf(box.frame) : '';
  return [
    box.above ? labelOf(box.frame) : 'all',
    ...(home ? [home] : []),
    `before ${value(before)}, after ${value(after)}, ${change(after - before)} ${compared().unit}`,
    ...(verdict === null ? [] : [VERDICTS[verdict]]),
  ];
}

// What is above graphs and tables of a comparison: how to draw it, and what colours say.
function comparisonBar() {
  const widths = Object.entries(WIDTHS).map(([key, [text]]) => [key, text]);
  const tools = element('div', { class: 'tools' }, choice('Width', selection.width, widths, (width) => select({ width })),
    selection.before ? element('button', { onclick: () => select({ before: null }) }, 'End comparison (Esc)') : null);
  const legend = element('div', { class: 'legend' });
  const said = element('div', { class: 'legend' });
  return {
    node: element('div', {}, tools, legend, said),
    update() {
      const { verdicts } = compared();
      const shade = (color, text) => element('span', {}, element('i', { style: { background: colorText(color) } }), text);
      legend.replaceChildren(shade(MORE, 'more'), shade(LESS, 'less'), shade(SAME, verdicts ? 'no evidence of a change' : 'as before'),
        ...(verdicts?.includes(ELSEWHERE) ? [shade(MOVED, 'elsewhere: renamed, inlined or moved')] : []));
      said.replaceChildren(...(selection.before ? saidOfParts() : []));
    },
  };
}

const hasVerdicts = () => comparison.head !== null || compared().judged !== null;

function changeTable(which, { brief }) {
  const verdicts = hasVerdicts();
  const of = (row) => row[which];
  const judged = (column) => (verdicts && !brief ? [column] : []);
  return new Table([
    { title: 'Change', numeric: true, value: (row) => Math.abs(of(row).delta ?? 0), text: (row) => change(of(row).delta) },
    ...judged({ title: '95 % interval', numeric: true, value: (row) => of(row).interval?.[0] ?? 0, text: (row) => interval(of(row)) }),
    { title: 'Before', numeric: true, bar: 'sides', value: (row) => of(row).before, text: (row) => value(of(row).before) },
    { title: 'After', numeric: true, bar: 'sides', value: (row) => of(row).after, text: (row) => value(of(row).after) },
    ...judged({ title: 'Verdict', value: (row) => of(row).verdict }),
    { title: 'Function', value: (row) => row.name },
    { title: 'Module', value: (row) => row.module },
  ], {
    caption: `Functions by ${which}: ${verdicts ? 'what there is evidence of' : 'what changed most'} first.`,
    empty: 'No function is in what is selected.',
    order: comparison.document ? null : byChange(which), // As rows of a comparison's page are already.
    act: lookAt,
    attributes: (row) => ({
      'data-symbol': row.symbol, 'data-function': row.name, 'data-module': row.module, 'data-before': of(row).before,
      'data-after': of(row).after, 'data-delta': of(row).delta, 'data-verdict': of(row).verdict, 'data-interval': of(row).interval,
    }),
  });
}

// Functions by self or total, as is chosen, with verdicts if there are any and there is
// room for them.
function changesTable(options = {}) {
  // Where no function changed itself, it is what they call.
  const [first] = comparison.document?.functions ?? [];
  let which = first && !hasChanged(first.self) && hasChanged(first.total) ? 'total' : 'self';
  let [table, judged] = [null, null];
  const holder = element('div');
  const update = () => {
    if (judged !== hasVerdicts()) show(which);
    const rows = comparison.document?.functions ?? compared().both;
    const matches = searched();
    table.update(matches ? rows.filter((row) => matches[row.frame]) : rows);
  };
  const show = (chosen) => {
    [which, judged] = [chosen, hasVerdicts()];
    table = changeTable(which, options);
    holder.replaceChildren(table.node);
  };
  const by = choice('Of functions', which, [['self', 'self'], ['total', 'total']], (chosen) => {
    show(chosen);
    update();
  });
  show(which);
  return { by, node: holder, update };
}

// The few places that explain the comparison.
function placesTable(places) {
  const of = (row) => row.change;
  const FOLLOWS = { yes: '; follows from the others', perhaps: '; may follow from the others' };
  const table = new Table([
    { title: 'Change', numeric: true, value: (row) => Math.abs(of(row).delta), text: (row) => change(of(row).delta) },
    { title: '95 % interval', numeric: true, value: (row) => of(row).interval?.[0] ?? 0, text: (row) => interval(of(row)) },
    { title: 'Before', numeric: true, bar: 'sides', value: (row) => of(row).before, text: (row) => value(of(row).before) },
    { title: 'After', numeric: true, bar: 'sides', value: (row) => of(row).after, text: (row) => value(of(row).after) },
    { title: 'Verdict', value: (row) => of(row).verdict + (FOLLOWS[row.follows] ?? '') },
    { title: 'What changed', value: (row) => row.text },
  ], {
    caption: 'The few places in the call tree that explain the comparison.',
    empty: 'Nothing that is more than noise: no function, and no place of one.',
    act: (row) => row.symbol !== undefined && lookAt(row),
    attributes: (row) => ({ 'data-place': row.text, 'data-delta': of(row).delta }),
  });
  table.update(places);
  return table.node;
}

function changesView() {
  const { document, head: diff } = comparison;
  const { total, before, after } = document;
  const side = (title, one, name) => [title, `${name}: ${count(one.samples)} samples in ${duration(one.duration_ns)}, ${count(one.lost)} lost${one.runs.length > 1 ? `, ${one.runs.length} runs` : ''}`];
  const table = changesTable();
  return {
    node: element('div', { class: 'scroll page' },
      ...notesBox(document.notes),
      ...document.conditions.map((condition) => element('p', {}, Object.values(condition).filter((part) => typeof part === 'string').join(': '))),
      element('h2', {}, `${diff.event}, in ${diff.unit}`),
      facts([
        side('Before', before, diff.sides[0]), side('After', after, diff.sides[1]),
        ['Change', `${value(total.before)} → ${value(total.after)}, ${change(total.delta)} (95 % interval ${interval(total)}): ${total.verdict}`],
      ]),
      placesTable(document.what_changed),
      element('div', { class: 'tools' }, table.by), table.node),
    update: table.update,
  };
}

const diffViews = new Map([
  ['changes', ['Changes', changesView]],
  ['flame', ['Flame graph', flameView]],
  ['sandwich', ['Sandwich', sandwichView]],
]);
