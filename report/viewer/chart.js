// Stacks of one thread in order of time.

const MOST_ROWS = 20000; // That are drawn at once.

const chart = {
  thread: null,
  start() {
    this.canvas = element('canvas', { tabindex: 0, role: 'img', 'aria-label': 'Stacks of one thread in order of time' });
    this.spacer = element('div', { class: 'flame-spacer' }, this.canvas);
    this.scroller = element('div', { class: 'flame' }, this.spacer);
    this.nothing = element('p', { class: 'nothing', hidden: true });
    this.which = element('select', { 'aria-label': 'Thread', onchange: () => {
      this.thread = Number(this.which.value);
      this.update();
    } });
    this.note = element('span', { class: 'quiet' });
    this.redraw = onceAFrame(() => this.draw());
    this.scroller.addEventListener('scroll', this.redraw, { passive: true });
    new ResizeObserver(this.redraw).observe(this.scroller);
    dragTime(this.canvas, () => ({ left: 0, width: this.scroller.clientWidth, ...this.range() }), this.redraw);
    this.canvas.addEventListener('mousemove', (event) => this.hover(event));
    this.canvas.addEventListener('mouseleave', hideTip);
  },
  range() {
    return selection.from === null ? { from: 0, until: allTicks() } : { from: selection.from, until: selection.until };
  },
  update() {
    const one = series();
    const weights = new Map();
    for (const rows of partsOf(one, selection.from, selection.until)) {
      for (const run of rows.runs) {
        if (selection.threads && !selection.threads.has(run.thread)) continue;
        let sum = weights.get(run.thread) ?? 0;
        for (let row = run.start; row < run.end; row++) sum += rows.weight[row];
        weights.set(run.thread, sum);
      }
    }
    const threads = [...weights.keys()].sort((a, b) => weights.get(b) - weights.get(a));
    if (!weights.has(this.thread)) this.thread = threads[0] ?? null;
    this.which.replaceChildren(...threads.slice(0, 1000).map((thread) =>
      element('option', { value: thread, selected: thread === this.thread }, threadText(thread))));
    const { from, until } = this.range();
    let rows = this.thread === null || !one.timed ? [] : this.rowsIn(one, from, until);
    this.nothing.hidden = rows.length > 0;
    this.nothing.textContent = nothingText(!one.timed);
    const all = rows.length;
    if (all > MOST_ROWS) rows = rows.filter((_, i) => i % Math.ceil(all / MOST_ROWS) === 0);
    this.note.textContent = all > rows.length ? `${count(rows.length)} of ${count(all)} samples are drawn: select less time to see all.` : '';
    this.spans = spansOf(rows);
    this.spacer.style.height = `${this.spans.length * ROW + 20}px`;
    this.draw();
  },
  rowsIn(one, from, until) {
    const found = [];
    for (const rows of partsOf(one, selection.from, selection.until)) {
      const run = rows.runs.find((run) => run.thread === this.thread);
      if (!run || !rows.time) continue;
      for (let row = run.start; row < run.end; row++) {
        const [begin, stop] = spanOf(rows, row, one);
        if (stop > from && begin < until) found.push({ begin, stop, node: rows.node[row] });
      }
    }
    return found.sort((a, b) => a.begin - b.begin);
  },
  draw() {
    const { clientWidth: width, clientHeight: height, scrollTop } = this.scroller;
    if (!width || !this.spans) return;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const draw = fitted(this.canvas, width, height);
    const { from, until } = this.range();
    const scale = width / (until - from);
    const matches = searched();
    const faded = styleOf('--faded');
    for (let depth = Math.floor(scrollTop / ROW); depth < this.spans.length && depth * ROW - scrollTop < height; depth++) {
      const y = 16 + depth * ROW - scrollTop;
      let right = 0;
      for (const span of this.spans[depth]) {
        const [a, b] = pixelsOf((span.begin - from) * scale, (span.stop - from) * scale, right, width);
        if (b <= a) continue;
        right = b;
        draw.fillStyle = matches && !matches[span.frame] ? faded : colorOf(span.frame);
        draw.fillRect(a, y, b - a - (b - a > 3 ? 1 : 0), ROW - 1);
        if (b - a > 20) {
          draw.fillStyle = INK;
          draw.fillText(fittingText(draw, labelOf(span.frame), b - a - 6), a + 3, y + ROW / 2);
        }
      }
    }
    draw.fillStyle = styleOf('--back');
    draw.fillRect(0, 0, width, 16);
    drawAxis(draw, 0, width, 16, from, until);
    if (dragged) drawSelected(draw, 0, width, height, from, until);
  },
  hover(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const { from, until } = this.range();
    const tick = from + ((event.clientX - bounds.left) / bounds.width) * (until - from);
    const depth = Math.floor((event.clientY - bounds.top + this.scroller.scrollTop - 16) / ROW);
    const span = this.spans[depth]?.find((span) => span.begin <= tick && tick < span.stop);
    if (!span) return hideTip();
    const ns = (span.stop - span.begin) * head.tick_ns;
    const lines = [labelOf(span.frame), moduleOf(span.frame), `from ${moment(span.begin * head.tick_ns, ns)}, ${duration(ns)}`].filter(Boolean);
    showTip(event, lines);
    say(lines.join(' · '));
  },
};

// Neighbours in time that have the same callers, by depth.
function spansOf(rows) {
  const { parent, frame } = code.tree;
  const spans = [];
  const open = []; // By depth, the last span and its node.
  let lastStop = -Infinity;
  for (const { begin, stop, node } of rows) {
    const path = [];
    for (let at = node; at !== ROOT; at = parent[at]) path.push(at);
    path.reverse();
    const near = begin - lastStop <= stop - begin;
    let depth = 0;
    while (near && depth < path.length && open[depth]?.node === path[depth]) open[depth++].span.stop = stop;
    open.length = depth;
    for (; depth < path.length; depth++) {
      const span = { begin, stop, frame: frame[path[depth]] };
      (spans[depth] ??= []).push(span);
      open[depth] = { node: path[depth], span };
    }
    lastStop = stop;
  }
  return spans;
}

function chartView() {
  return {
    node: element('div', { class: 'fill' }, element('div', { class: 'tools' }, element('label', {}, 'Thread ', chart.which), chart.note), chart.nothing, chart.scroller),
    update: () => chart.update(),
  };
}
