// Tables: sorted by a column, with bars, as many rows at first as can be looked at.

const FIRST_ROWS = 100;

// The first rows in an order, without sorting all the others.
function firstOf(rows, most, compare) {
  let [kept, last] = [[], null];
  for (const row of rows) {
    if (last && compare(row, last) >= 0) continue;
    if (kept.push(row) < 4 * most) continue;
    kept = kept.sort(compare).slice(0, most);
    last = kept[most - 1];
  }
  return kept.sort(compare).slice(0, most);
}

// Columns: { title, value, text, bar, numeric, cell }. What a value is sorted by need not
// be what is shown. Bars of one name have one scale.
class Table {
  constructor(columns, options = {}) {
    this.columns = columns;
    this.options = options;
    this.sorted = options.sorted ?? null;
    this.shown = FIRST_ROWS;
    this.body = element('tbody');
    this.head = element('tr');
    this.more = element('button', { class: 'more', onclick: () => {
      this.shown *= 5;
      this.draw();
    } });
    this.node = element('div', { class: 'table-holder' },
      element('table', {}, element('caption', {}, options.caption ?? ''), element('thead', {}, this.head), this.body), this.more);
  }

  update(rows) {
    this.rows = rows;
    this.draw();
  }

  // How rows are compared, if alike by the column as without one; null if they stay as they came.
  order() {
    const { order = null } = this.options;
    if (this.sorted === null) return order;
    const { value } = this.columns[this.sorted.column];
    const sign = this.sorted.down ? -1 : 1;
    return (one, other) => {
      const [a, b] = [value(one), value(other)];
      return a < b ? -sign : a > b ? sign : order?.(one, other) ?? 0;
    };
  }

  draw() {
    const { columns, options, rows } = this;
    this.head.replaceChildren(...columns.map((column, i) => {
      const here = this.sorted?.column === i;
      const sort = () => {
        this.sorted = { column: i, down: here ? !this.sorted.down : Boolean(column.numeric) };
        this.draw();
      };
      const order = here ? (this.sorted.down ? 'descending' : 'ascending') : null;
      return element('th', { scope: 'col', class: column.numeric ? 'numeric' : '', 'aria-sort': order },
        element('button', { onclick: sort }, column.title + (here ? (this.sorted.down ? ' ▾' : ' ▴') : '')));
    }));
    const largestOf = (column) => (column.bar ? this.rows.reduce((most, row) => Math.max(most, column.value(row)), 0) : 0);
    const alone = columns.map(largestOf);
    const largest = columns.map(({ bar }, i) => (typeof bar === 'string' ? Math.max(...alone.filter((_, other) => columns[other].bar === bar)) : alone[i]));
    const order = this.order();
    const shown = order ? firstOf(rows, this.shown, order) : rows.slice(0, this.shown);
    this.body.replaceChildren(...shown.map((row) => {
      const cells = columns.map((column, i) => {
        const text = column.text ? column.text(row) : String(column.value(row) ?? '–');
        const cell = element('td', { class: column.numeric ? 'numeric' : 'text', title: column.numeric ? null : text }, text);
        if (column.bar && largest[i] > 0) {
          const width = (100 * column.value(row)) / largest[i];
          cell.classList.add('bar');
          cell.style.setProperty('--share', `${width.toFixed(1)}%`);
        }
        return cell;
      });
      const attributes = options.attributes?.(row) ?? {};
      const act = options.act && (() => options.act(row));
      const open = act && { tabindex: 0, class: 'acts', onclick: act, onkeydown: (event) => event.key === 'Enter' && act() };
      return element('tr', { ...attributes, ...open }, ...cells);
    }));
    const left = rows.length - this.shown;
    this.more.hidden = left <= 0;
    this.more.textContent = left > 0 ? `${count(left)} more rows` : '';
    if (rows.length === 0) {
      this.body.replaceChildren(element('tr', {}, element('td', { colspan: columns.length, class: 'text' }, options.empty ?? 'Nothing.')));
    }
  }
}

const lookAt = ({ symbol }) => select({ view: 'sandwich', symbol });

function functionTable(caption, act = lookAt) {
  const unit = () => series().unit;
  const all = () => selectedSums().all;
  return new Table([
    { title: 'Self', numeric: true, bar: true, value: (row) => row.own, text: (row) => amount(row.own, unit()) },
    { title: '%', numeric: true, value: (row) => row.own, text: (row) => percent(row.own, all()) },
    { title: 'Total', numeric: true, bar: true, value: (row) => row.total, text: (row) => amount(row.total, unit()) },
    { title: '%', numeric: true, value: (row) => row.total, text: (row) => percent(row.total, all()) },
    { title: 'Samples', numeric: true, value: (row) => row.totalSamples, text: (row) => count(row.totalSamples) },
    { title: 'Function', value: (row) => code.names[row.symbol], text: (row) => labelOf(row.frame) },
    { title: 'Module', value: (row) => code.modules[row.symbol] },
  ], {
    caption,
    sorted: { column: 0, down: true },
    order: (a, b) => b.total - a.total,
    empty: 'No function is in what is selected.',
    act,
    attributes: (row) => ({
      'data-symbol': row.symbol, 'data-function': code.names[row.symbol], 'data-module': code.modules[row.symbol], 'data-self': row.own, 'data-total': row.total,
      'data-self-samples': row.ownSamples, 'data-total-samples': row.totalSamples,
    }),
  });
}

function searchedFunctions() {
  const matches = searched();
  const rows = selectedSums().functions;
  return matches ? rows.filter((row) => matches[row.frame]) : rows;
}

function tableView() {
  if (isComparing()) {
    const [bar, changes] = [comparisonBar(), changesTable()];
    return {
      node: element('div', { class: 'scroll' }, element('div', { class: 'tools' }, changes.by, filterButtons()), bar.node, changes.node),
      update() {
        bar.update();
        changes.update();
      },
    };
  }
  const table = functionTable('Functions: what they did themselves, and with all that they called. Click one for its callers and callees.');
  return {
    node: element('div', { class: 'scroll' }, element('div', { class: 'tools' }, filterButtons()), table.node),
    update: () => table.update(searchedFunctions()),
  };
}
