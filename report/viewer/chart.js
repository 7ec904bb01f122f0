// Stacks of one thread in order of time.

const MOST_ROWS = 20_000; // That are drawn at once,
const MOST_SPANS = 1_000_000; // and frames of theirs.
const CHART_TOP = 16; // Pixels of the axis.

const chart = {
  thread: null,
  from: 0,
  until: 1,
  spans: [],
  places: [],
  chosen: null,
  hovered: null,
  start() {
    this.canvas = pictureOf('Stacks of one thread in order of time. Arrows go from frame to frame, Enter zooms in, + and - zoom, Shift and arrows pan.', () => this.draw());
    this.spacer = element('div', { class: 'flame-spacer' }, this.canvas);
    this.scroller = element('div', { class: 'flame' }, this.spacer);
    this.nothing = element('p', { class: 'nothing', hidden: true });
    this.which = element('select', { 'aria-label': 'Thread', onchange: () => {
      this.thread = Number(this.which.value);
      this.update();
    } });
    this.note = element('span', { class: 'quiet' });
    this.picture = element('canvas');
    this.lines = element('canvas');
    this.redraw = onceAFrame(() => this.draw());
    this.repoint = onceAFrame(() => this.point());
    this.relayout = onceAFrame(() => this.layout());
    this.scroller.addEventListener('scroll', this.redraw, { passive: true });
    new ResizeObserver(this.redraw).observe(this.scroller);
    dragTime(this.canvas, () => ({ left: 0, width: this.scroller.clientWidth, from: this.from, until: this.until }), this.repoint);
    this.canvas.addEventListener('mousemove', (event) => this.hover(event));
    this.canvas.addEventListener('mouseleave', () => this.leave());
    this.canvas.addEventListener('click', (event) => this.click(event));
    this.canvas.addEventListener('dblclick', () => openSource());
    this.canvas.addEventListener('keydown', (event) => this.arrow(event));
    zoomByWheel(this.canvas, this, () => ({ left: 0, width: this.scroller.clientWidth }));
  },
  bounds() {
    return selection.from === null ? [0, allTicks()] : [selection.from, selection.until];
  },
  update() {
    const one = series();
    const weights = new Map();
    for (const rows of partsOf(one, selection.from, selection.until)) {
      const left = weightsLeft(rows);
      for (const run of rows.runs) {
        if (selection.threads && !selection.threads.has(run.thread)) continue;
        let sum = weights.get(run.thread) ?? 0;
        for (let row = run.start; row < run.end; row++) sum += left[row];
        weights.set(run.thread, sum);
      }
    }
    const threads = [...weights.keys()].sort((a, b) => weights.get(b) - weights.get(a));
    if (!weights.has(this.thread)) this.thread = threads[0] ?? null;
    this.which.replaceChildren(...threads.slice(0, 1000).map((thread) =>
      element('option', { value: thread, selected: thread === this.thread }, threadText(thread))));
    // Another range is looked at from its beginning to its end.
    const bounds = this.bounds();
    if (String(bounds) !== this.bounded) [this.from, this.until] = bounds;
    this.bounded = String(bounds);
    this.chosen = null;
    this.layout();
  },
  // Frames of the time that is selected, or of too many those of the time that is looked at.
  layout() {
    const one = series();
    let rows = this.rowsIn(one, ...this.bounds());
    this.isThinned = rows.all > rows.length || Boolean(head.served);
    this.nothing.hidden = rows.length > 0;
    if (this.isThinned && this.isZoomed()) rows = this.rowsIn(one, this.from, this.until);
    this.nothing.textContent = nothingText(!one.timed);
    this.note.textContent = rows.all > rows.length ? `${count(rows.length)} of ${count(rows.all)} samples are drawn: zoom in or select less time to see all.` : '';
    this.spans = spansOf(rows);
    this.stops = this.spans.map((spans) => Float64Array.from(spans, (span) => span.stop));
    this.hovered = null;
    if (this.chosen) this.chosen = this.spans[this.chosen.depth]?.find((span) => isSame(span, this.chosen)) ?? null;
    this.spacer.style.height = `${this.spans.length * ROW + CHART_TOP + 4}px`;
    this.draw();
  },
  // Rows of the thread in order of time: of too many, or of too many frames, one in so many.
  rowsIn(one, from, until) {
    if (this.thread === null || !one.timed) return [];
    const nodes = nodesLeft(selection.filters);
    const { depths } = filteredTree(selection.filters).tree;
    const found = [];
    for (const rows of partsOf(one, Math.floor(from), Math.ceil(until))) {
      const run = rows.runs.find((run) => run.thread === this.thread);
      if (!run || !rows.time) continue;
      const { time, node } = rows;
      const start = rows.duration ? run.start : firstAfter(time, run.start, run.end, from);
      for (let row = start; row < run.end; row++) {
        const [begin, stop] = spanOf(rows, row, one);
        // What comes later may have begun earlier, if it is long.
        if (begin >= until && (rows.duration || time[row] > until + 2e9 / head.tick_ns)) break;
        const into = nodes[node[row]];
        if (into >= 0 && stop > from && begin < until) found.push({ begin, stop, node: into });
      }
    }
    const frames = found.reduce((sum, row) => sum + depths[row.node], 0);
    const step = Math.ceil(Math.max(found.length / MOST_ROWS, frames / MOST_SPANS, 1));
    const some = step > 1 ? found.filter((_, i) => i % step === 0) : found;
    some.sort((a, b) => a.begin - b.begin);
    return Object.assign(some, { all: found.length });
  },
  isZoomed() {
    return String([this.from, this.until]) !== this.bounded;
  },
  // Looks at a stretch of time, as near to it as may be.
  show(from, length) {
    const [least, most] = this.bounds();
    [this.from, this.until] = windowIn(from, length, least, most);
    this.redraw();
    // What is left out now is had once this does not move any more.
    if (this.isThinned) lookCloser(this, [series()], this.relayout);
  },
  // Leaves the zoom; false if there was none.
  back() {
    if (!this.isZoomed()) return false;
    this.whole();
    return true;
  },
  whole() {
    const [from, until] = this.bounds();
    this.show(from, until - from);
  },
  draw() {
    const { clientWidth: width, clientHeight: height } = this.scroller;
    if (!width) return;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const draw = fitted(this.picture, width, height);
    const matches = searched();
    const faded = styleOf('--faded');
    const text = styleOf('--text');
    this.places = this.shownPlaces();
    const isFaded = (frame) => matches !== null && !matches[frame];
    this.drawSpans(draw, width, height, (frame) => (isFaded(frame) ? faded : colorOf(frame, this.thread)));
    for (const { span, x, y, wide } of this.places) {
      if (wide <= 20) continue;
      draw.fillStyle = isFaded(span.frame) ? text : INK;
      draw.fillText(fittingText(draw, labelOf(span.frame), wide - 6), x + 3, y + ROW / 2);
    }
    draw.fillStyle = styleOf('--back');
    draw.fillRect(0, 0, width, CHART_TOP);
    drawAxis(draw, 0, width, CHART_TOP, this.from, this.until);
    this.point();
  },
  // All spans at once, as their number is what takes the time: those of a depth are a line of
  // pixels, which is then made as high as a row.
  drawSpans(draw, width, height, color) {
    const { scrollTop } = this.scroller;
    const first = Math.floor(scrollTop / ROW);
    const rows = Math.ceil(height / ROW) + 1;
    const pixels = new Uint32Array(width * rows);
    const known = new Uint32Array(code.frames);
    for (const { span: { depth, frame }, x, wide } of this.places) {
      const pixel = (known[frame] ||= pixelOf(color(frame)));
      const line = (depth - first) * width;
      const end = line + Math.min(x + wide - (wide > 3 ? 1 : 0), width);
      for (let at = line + x; at < end; at++) pixels[at] = pixel;
    }
    [this.lines.width, this.lines.height] = [width, rows];
    this.lines.getContext('2d').putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, rows), 0, 0);
    draw.imageSmoothingEnabled = false;
    const top = CHART_TOP + first * ROW - scrollTop;
    draw.drawImage(this.lines, 0, top, width, rows * ROW);
    for (let row = 1; row <= rows; row++) draw.clearRect(0, top + row * ROW - 1, width, 1);
  },
  // Frames in view that have pixels of their own, with their places.
  shownPlaces() {
    const places = [];
    const { clientWidth: width, clientHeight: height, scrollTop } = this.scroller;
    const scale = width / (this.until - this.from);
    for (let depth = Math.floor(scrollTop / ROW); depth < this.spans.length && depth * ROW - scrollTop < height; depth++) {
      const y = CHART_TOP + depth * ROW - scrollTop;
      const [spans, stops] = [this.spans[depth], this.stops[depth]];
      // Those that end in pixels that are taken are passed over.
      for (let right = 0, i = firstEnding(stops, this.from, 0); i < spans.length && right < width; i = firstEnding(stops, this.from + right / scale, i + 1)) {
        const span = spans[i];
        if (span.begin >= this.until) break;
        const [a, b] = pixelsOf((span.begin - this.from) * scale, (span.stop - this.from) * scale, right, width);
        if (b <= a) continue;
        right = Math.max(b, a + 2); // Two pixels at least: there may be very many.
        places.push({ span, x: a, y, wide: right - a });
      }
    }
    return places;
  },
  // Shows that picture with the function that is pointed at, wherever it is, and what is chosen.
  point() {
    const { clientWidth: width, clientHeight: height } = this.scroller;
    if (!width) return;
    const draw = fitted(this.canvas, width, height);
    draw.drawImage(this.picture, 0, 0, width, height);
    const pointed = this.hovered ?? this.chosen;
    if (pointed) {
      for (const { span, x, y, wide } of this.places) {
        if (y < CHART_TOP) continue;
        if (code.symbol[span.frame] === code.symbol[pointed.frame]) {
          draw.fillStyle = 'rgb(255 255 255 / 0.45)';
          draw.fillRect(x, y, Math.max(wide - 1, 1), ROW - 1);
        }
        if (span === this.chosen) {
          draw.strokeStyle = styleOf('--text');
          draw.lineWidth = 2;
          draw.strokeRect(x + 1, y + 1, Math.max(wide - 3, 1), ROW - 3);
        }
      }
    }
    if (dragged) drawSelected(draw, 0, width, height, this.from, this.until);
  },
  at(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const tick = this.from + ((event.clientX - bounds.left) / bounds.width) * (this.until - this.from);
    const depth = Math.floor((event.clientY - bounds.top + this.scroller.scrollTop - CHART_TOP) / ROW);
    const spans = this.spans[depth] ?? [];
    const span = spans[firstEnding(this.stops[depth] ?? [], tick, 0)];
    return span?.begin <= tick ? span : null;
  },
  hover(event) {
    const span = this.at(event);
    if (span !== this.hovered) {
      this.hovered = span;
      this.repoint();
    }
    if (!span) return hideTip();
    const lines = this.describe(span);
    showTip(event, lines);
    say(lines.join(' · '));
  },
  describe({ frame, begin, stop }) {
    const ns = (stop - begin) * head.tick_ns;
    return [labelOf(frame), moduleOf(frame), `from ${moment(begin * head.tick_ns, ns)}, ${duration(ns)}`].filter(Boolean);
  },
  leave() {
    hideTip();
    this.hovered = null;
    this.repoint();
  },
  // What is chosen already is zoomed into.
  click(event) {
    const span = this.at(event);
    if (!span) return;
    if (span === this.chosen) this.zoomInto(span);
    else this.choose(span);
  },
  choose(span) {
    this.chosen = span;
    say(this.describe(span).join(' · '));
    this.repoint();
  },
  zoomInto({ begin, stop }) {
    this.show(begin, stop - begin);
  },
  frameAtHand() {
    return (this.chosen ?? this.hovered)?.frame ?? null;
  },
  // Chooses the next frame that the search finds, or the one before.
  find(step) {
    const matches = searched();
    const isShown = (span) => matches[span.frame] && span.stop > this.from && span.begin < this.until;
    const found = matches ? this.spans.flatMap((spans) => spans.filter(isShown)) : [];
    if (!found.length) return say(matches ? 'Nothing is found in what is drawn.' : 'Search for something first: /');
    found.sort((a, b) => a.begin - b.begin || a.depth - b.depth);
    const span = found[(found.indexOf(this.chosen) + step + found.length) % found.length];
    this.choose(span);
    this.reveal(span);
  },
  // To callers and callees, and to what was before and after.
  arrow(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.shiftKey && step) {
      const length = this.until - this.from;
      this.show(this.from + (step * length) / 5, length);
      return event.preventDefault();
    }
    if (event.key === 'Enter') {
      if (this.chosen) this.zoomInto(this.chosen);
      return event.preventDefault();
    }
    if (!event.key.startsWith('Arrow')) return;
    event.preventDefault();
    const { depth, begin } = this.chosen ?? { depth: -1, begin: this.from };
    const row = this.spans[depth] ?? [];
    const next = event.key === 'ArrowDown' ? this.spans[depth + 1]?.find((span) => span.begin >= begin)
      : event.key === 'ArrowUp' ? this.spans[depth - 1]?.findLast((span) => span.begin <= begin)
        : row[row.indexOf(this.chosen) + step];
    if (!next || (event.key === 'ArrowDown' && this.chosen && next.begin >= this.chosen.stop)) return;
    this.choose(next);
    this.reveal(next);
  },
  key(event) {
    const factor = { '+': 0.7, '=': 0.7, '-': 1 / 0.7 }[event.key];
    if (factor) zoomWindow(this, factor, 0.5);
    return Boolean(factor);
  },
  reveal({ depth, begin, stop }) {
    const { scrollTop, clientHeight } = this.scroller;
    const y = depth * ROW;
    if (y < scrollTop || y + ROW + CHART_TOP > scrollTop + clientHeight) this.scroller.scrollTop = Math.max(0, y - clientHeight / 2);
    const length = this.until - this.from;
    if (stop <= this.from || begin >= this.until) this.show(begin - length / 2, length);
  },
};

// The first of neighbours, from a number on, that stops after a moment. Mostly that is one
// of the next ones.
function firstEnding(stops, tick, start) {
  let step = 1;
  while (start + step < stops.length && stops[start + step - 1] <= tick) step *= 2;
  let [low, high] = [start + Math.floor(step / 2), Math.min(start + step, stops.length)];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (stops[middle] <= tick) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Whether what is drawn of another stretch of time is the same.
const isSame = (span, other) => span.node === other.node && span.begin < other.stop && span.stop > other.begin;

// Neighbours in time that have the same callers, by depth.
function spansOf(rows) {
  const { parent, frame } = filteredTree(selection.filters).tree;
  const spans = [];
  const open = []; // By depth, the last span.
  let lastStop = -Infinity;
  for (const { begin, stop, node } of rows) {
    const path = [];
    for (let at = node; at !== ROOT; at = parent[at]) path.push(at);
    path.reverse();
    const near = begin - lastStop <= stop - begin;
    let depth = 0;
    while (near && depth < path.length && open[depth]?.node === path[depth]) open[depth++].stop = stop;
    open.length = depth;
    for (; depth < path.length; depth++) {
      const span = { begin, stop, depth, node: path[depth], frame: frame[path[depth]] };
      (spans[depth] ??= []).push(span);
      open[depth] = span;
    }
    lastStop = stop;
  }
  return spans;
}

function chartView() {
  lastGraph = chart;
  const button = (act, text) => element('button', { onclick: act }, text);
  return {
    node: element('div', { class: 'fill' }, element('div', { class: 'tools' }, element('label', {}, 'Thread ', chart.which),
      colorChoice(chart.redraw), button(() => zoomWindow(chart, 0.7, 0.5), 'Closer (+)'), button(() => zoomWindow(chart, 1 / 0.7, 0.5), 'Further (-)'),
      button(() => chart.whole(), 'Whole time (0)'), sourceButton(), filterButtons(), chart.note), chart.nothing, chart.scroller),
    update: () => chart.update(),
    key: (event) => chart.key(event),
  };
}
