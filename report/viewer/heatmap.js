// A heat map: each column is a stretch of time, from top to bottom; each cell is a
// fiftieth of that. What comes at regular times makes a pattern.

const CELLS = 50;
const WIDEST = 48; // Pixels that a column has, at most.

const heatmap = {
  start() {
    this.canvas = pictureOf('Heat map of activity. Drag from one moment to another to select the time between; arrows go from cell to cell, Enter selects one.', () => this.draw(), { class: 'heat' });
    this.canvas.addEventListener('keydown', (event) => this.arrow(event));
    this.about = element('span', { class: 'quiet' });
    this.nothing = element('p', { class: 'nothing', hidden: true });
    this.redraw = onceAFrame(() => this.draw());
    new ResizeObserver(this.redraw).observe(this.canvas);
    this.canvas.addEventListener('mousemove', (event) => this.hover(event));
    this.canvas.addEventListener('mouseleave', hideTip);
    this.cursor = null; // The cell that arrows have come to.
    this.from = null; // The cell in which the button was pressed, while it is.
    this.canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      this.from = this.cellAt(event);
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener('pointerup', (event) => {
      if (event.button !== 0 || this.from === null) return;
      const cells = [this.from, this.cellAt(event)].sort((a, b) => a - b);
      this.from = null;
      this.selectCells(...cells);
    });
    this.canvas.addEventListener('pointercancel', () => {
      this.from = null;
    });
  },
  update() {
    const one = series();
    // Columns of a second, or of as many as leave room for all.
    const seconds = (allTicks() * head.tick_ns) / 1e9;
    this.column = Math.max(1, axisStep(seconds, 250, 1)) * 1e9 / head.tick_ns;
    this.columns = Math.max(1, Math.ceil(allTicks() / this.column));
    this.cell = this.column / CELLS;
    this.cells = new Float64Array(this.columns * CELLS);
    for (const rows of partsOf(one)) {
      if (!rows.time) continue;
      for (const run of rows.runs) {
        if (!selection.threads || selection.threads.has(run.thread)) addBins(this.cells, one, rows, run.start, run.end, 0, this.columns * this.column);
      }
    }
    this.nothing.hidden = one.timed;
    this.nothing.textContent = one.timed ? '' : nothingText(true);
    this.canvas.hidden = !one.timed;
    this.about.textContent = `A column is ${duration(this.column * head.tick_ns)}, a cell ${duration(this.cell * head.tick_ns)}. Drag from one cell to another to select the time between.`;
    this.draw();
  },
  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !this.cells) return;
    const draw = fitted(this.canvas, width, height);
    const most = this.cells.reduce((a, b) => Math.max(a, b), 0) || 1;
    const [wide, tall] = [Math.min(width / this.columns, WIDEST), height / CELLS];
    draw.fillStyle = styleOf('--activity');
    this.cells.forEach((value, cell) => {
      if (value <= 0) return;
      draw.globalAlpha = 0.08 + 0.92 * Math.min(value / most, 1);
      draw.fillRect(Math.floor(cell / CELLS) * wide, (cell % CELLS) * tall, Math.max(wide - 1, 0.5), tall);
    });
    draw.globalAlpha = 1;
    if (this.cursor !== null) {
      draw.strokeStyle = styleOf('--accent');
      draw.lineWidth = 2;
      draw.strokeRect(Math.floor(this.cursor / CELLS) * wide, (this.cursor % CELLS) * tall, wide, tall);
    }
    const range = selectedRange();
    if (range) {
      draw.fillStyle = styleOf('--veil');
      this.cells.forEach((_, cell) => {
        const at = cell * this.cell;
        if (at + this.cell <= range[0] || at >= range[1]) draw.fillRect(Math.floor(cell / CELLS) * wide, (cell % CELLS) * tall, wide, tall);
      });
    }
  },
  cellAt(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const part = (at, size, of) => Math.min(Math.max(Math.floor((at / size) * of), 0), of - 1);
    return part(event.clientX - bounds.left, Math.min(bounds.width, this.columns * WIDEST), this.columns) * CELLS + part(event.clientY - bounds.top, bounds.height, CELLS);
  },
  describe(cell) {
    return [rangeText(cell * this.cell, (cell + 1) * this.cell), `${amount(Math.round(this.cells[cell]), series().unit)} ${series().spent}`];
  },
  hover(event) {
    const lines = this.describe(this.cellAt(event));
    showTip(event, lines);
    say(lines.join(' · '));
  },
  arrow(event) {
    const step = { ArrowLeft: -CELLS, ArrowRight: CELLS, ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === 'Enter' && this.cursor !== null) this.selectCells(this.cursor, this.cursor);
    else if (!step) return;
    else {
      const next = this.cursor === null ? 0 : this.cursor + step;
      if (this.cells[next] !== undefined) this.cursor = next;
      say(this.describe(this.cursor).join(' · '));
      this.draw();
    }
    event.preventDefault();
  },
  selectCells(first, last) {
    // The last cells may be behind the end.
    const from = Math.min(Math.floor(first * this.cell), allTicks() - 1);
    select({ from, until: Math.min(Math.ceil((last + 1) * this.cell), allTicks()) });
  },
};

function heatmapView() {
  return {
    node: element('div', { class: 'fill' }, element('div', { class: 'tools' }, heatmap.about), heatmap.nothing, heatmap.canvas),
    update: () => heatmap.update(),
  };
}
