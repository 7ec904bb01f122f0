// Activity over time: a strip of everything above all views, and a track for each thread.

// What a row of an event covers. A sample of time stands for the time before it.
function spanOf(rows, row, one) {
  const at = rows.time[row];
  if (rows.duration?.[row] > 0) return [at, at + rows.duration[row]];
  return one.unit === 'nanoseconds' ? [at - rows.weight[row] / head.tick_ns, at] : [at, at + 1];
}

// Adds rows up by pixel. Weight is spread over what a row covers.
function addBins(bins, one, rows, start, end, from, until) {
  if (!rows.duration) return addMoments(bins, one, rows, start, end, from, until);
  const scale = bins.length / (until - from);
  const weight = weightsLeft(rows);
  end = firstAfter(rows.time, start, end, until + 2e9 / head.tick_ns);
  for (let row = start; row < end; row++) {
    const [begin, stop] = spanOf(rows, row, one);
    if (stop <= from || begin >= until) continue;
    const [a, b] = [(begin - from) * scale, (stop - from) * scale];
    const each = weight[row] / Math.max(b - a, 1e-9);
    const [first, last] = [Math.max(0, Math.floor(a)), Math.min(bins.length - 1, Math.floor(b))];
    if (first === last) bins[first] += each * (Math.min(b, bins.length) - Math.max(a, 0));
    else for (let bin = first; bin <= last; bin++) bins[bin] += each * (Math.min(b, bin + 1) - Math.max(a, bin));
  }
}

// The same of rows that end when they have their times, by sums of all rows before: the
// time that takes does not grow with them.
function addMoments(bins, one, rows, start, end, from, until) {
  const { time } = rows;
  const weight = weightsLeft(rows);
  const before = sumsBefore(rows, weight);
  const perWeight = one.unit === 'nanoseconds' ? 1 / head.tick_ns : 0;
  let [row, last] = [start, 0];
  for (let bin = 0; bin <= bins.length; bin++) {
    const tick = from + ((until - from) * bin) / bins.length;
    // The next edge is a few rows away, or very many.
    const near = Math.min(row + 8, end);
    while (row < near && time[row] < tick) row++;
    if (row === near) row = firstAfter(time, row, end, tick);
    let sum = before[row] - before[start];
    if (row < end) {
      const length = weight[row] * perWeight;
      const begun = tick - time[row] + length;
      if (begun > 0 && length > 0) sum += (weight[row] * begun) / length;
    }
    if (bin > 0) bins[bin - 1] += sum - last;
    last = sum;
  }
}

// The weight of all rows before each one, and of all.
function sumsBefore(rows, weight) {
  if (rows.before?.of !== weight) {
    const sums = new Float64Array(rows.count + 1);
    for (let row = 0; row < rows.count; row++) sums[row + 1] = sums[row] + weight[row];
    rows.before = { of: weight, sums };
  }
  return rows.before.sums;
}

// Lets a range of time be dragged on a canvas. `range` gives what the canvas shows and
// where on it, in CSS pixels.
function dragTime(canvas, range, redraw) {
  let anchor = null;
  const tickAt = (event) => {
    const { left, width, from, until } = range();
    const x = event.clientX - canvas.getBoundingClientRect().left - left;
    return from + (Math.min(Math.max(x / width, 0), 1)) * (until - from);
  };
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || event.clientX - canvas.getBoundingClientRect().left < range().left) return;
    anchor = { tick: tickAt(event), x: event.clientX };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!anchor || Math.abs(event.clientX - anchor.x) < 4) return;
    const tick = tickAt(event);
    dragged = [Math.floor(Math.min(tick, anchor.tick)), Math.ceil(Math.max(tick, anchor.tick))];
    say(`${rangeText(dragged[0], dragged[1])}`);
    redraw();
  });
  canvas.addEventListener('pointerup', () => {
    if (!anchor) return;
    anchor = null;
    if (!dragged) return;
    const from = Math.min(dragged[0], allTicks() - 1);
    const until = Math.max(dragged[1], from + 1);
    dragged = null;
    select({ from, until });
  });
  canvas.addEventListener('pointercancel', () => {
    if (!anchor) return;
    [anchor, dragged] = [null, null];
    redraw();
  });
}

let dragged = null; // The range that is being dragged.
const selectedRange = () => dragged ?? (selection.from === null ? null : [selection.from, selection.until]);

function rangeText(from, until) {
  const ns = (until - from) * head.tick_ns;
  return `${moment(from * head.tick_ns, ns)} to ${moment(until * head.tick_ns, ns)} (${duration(ns)})`;
}

function drawAxis(draw, left, width, height, from, until) {
  const ns = (until - from) * head.tick_ns;
  const step = axisStep(ns, width, 90);
  const first = Math.ceil((from * head.tick_ns) / step);
  const lines = Math.min(Math.floor((until * head.tick_ns) / step) - first + 1, width);
  for (let line = 0; line < lines; line++) {
    const at = (first + line) * step;
    const x = left + (width * (at / head.tick_ns - from)) / (until - from);
    draw.fillStyle = styleOf('--line');
    draw.fillRect(x, 0, 1, height);
    draw.fillStyle = styleOf('--quiet');
    if (x + 56 < left + width) draw.fillText(moment(at, step * 2), x + 3, 7);
  }
}

function drawSelected(draw, left, width, height, from, until) {
  const range = selectedRange();
  const x = (tick) => left + width * Math.min(Math.max((tick - from) / (until - from), 0), 1);
  if (range) {
    draw.fillStyle = styleOf('--veil');
    draw.fillRect(left, 0, x(range[0]) - left, height);
    draw.fillRect(x(range[1]), 0, left + width - x(range[1]), height);
    draw.fillStyle = styleOf('--accent');
    for (const tick of range) if (tick >= from && tick <= until) draw.fillRect(x(tick) - 1, 0, 2, height);
  }
  if (!selection.before) return;
  // What was kept has a line above.
  const [a, b] = [x(selection.before.from ?? 0), x(selection.before.until ?? allTicks())];
  draw.fillStyle = styleOf('--kept');
  draw.fillRect(a, 0, b - a, 3);
}

// A stretch of time of that length as near to `from` as may be.
function windowIn(from, length, least, most) {
  length = Math.min(Math.max(length, 10), most - least);
  from = Math.min(Math.max(from, least), most - length);
  return [from, from + length];
}

// Makes what a view shows of time so much longer, around a share of it.
function zoomWindow(view, factor, share) {
  const length = Math.max((view.until - view.from) * factor, 10);
  view.show(view.from + (view.until - view.from - length) * share, length);
}

// With Ctrl, as without it wheels scroll.
function zoomByWheel(canvas, view, place) {
  canvas.addEventListener('wheel', (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const { left, width } = place();
    const at = (event.clientX - canvas.getBoundingClientRect().left - left) / width;
    zoomWindow(view, event.deltaY > 0 ? 1.25 : 0.8, Math.min(Math.max(at, 0), 1));
  }, { passive: false });
}

// Asks for more of what is in view of some events, once that does not move any more.
function lookCloser(view, all, then) {
  clearTimeout(view.asking);
  view.asking = setTimeout(async () => {
    try {
      const window = [Math.floor(view.from), Math.ceil(view.until)];
      await Promise.all(Array.from(all, (one) => readCloseUps(one, ...window)));
      then();
    } catch (error) {
      failed(error);
    }
  }, 150);
}

// The strip above all views.
const strip = {
  key: '',
  bins: null,
  start() {
    this.canvas = byId('strip-canvas');
    this.canvas.drawNow = () => this.draw();
    this.redraw = onceAFrame(() => this.draw());
    dragTime(this.canvas, () => ({ left: 0, width: this.canvas.clientWidth, from: 0, until: allTicks() }), this.redraw);
    this.canvas.addEventListener('dblclick', () => select({ from: null, until: null }));
    this.canvas.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      // A twentieth of what is selected further, or with Shift longer or shorter.
      const [from, until] = selectedRange() ?? [0, allTicks()];
      const by = Math.max(1, Math.round((until - from) / 20)) * step;
      const moved = event.shiftKey ? [from, until + by] : [from + by, until + by];
      if (moved[0] >= 0 && moved[1] <= allTicks() && moved[0] < moved[1]) {
        select({ from: moved[0], until: moved[1] });
        say(rangeText(...moved));
      }
      event.preventDefault();
    });
    new ResizeObserver(this.redraw).observe(byId('strip'));
  },
  draw() {
    const one = series();
    byId('strip').hidden = !one.timed;
    const { clientWidth: width, clientHeight: height } = byId('strip');
    if (!one.timed || !width) return;
    const key = [selection.series, partsOf(one).length, width, selection.threads && [...selection.threads], JSON.stringify(selection.filters)].join();
    if (key !== this.key) {
      this.key = key;
      this.bins = new Float64Array(Math.floor(width));
      for (const rows of partsOf(one)) {
        if (!rows.time) continue;
        for (const run of rows.runs) {
          if (!selection.threads || selection.threads.has(run.thread)) addBins(this.bins, one, rows, run.start, run.end, 0, allTicks());
        }
      }
    }
    const draw = fitted(this.canvas, width, height);
    drawAxis(draw, 0, width, height, 0, allTicks());
    const most = this.bins.reduce((a, b) => Math.max(a, b), 0) || 1;
    draw.fillStyle = styleOf('--activity');
    this.bins.forEach((value, x) => {
      const tall = (value / most) * (height - 16);
      if (tall > 0) draw.fillRect(x, height - Math.max(tall, 1), 1, Math.max(tall, 1));
    });
    drawSelected(draw, 0, width, height, 0, allTicks());
  },
};

const TRACK = 26;
// Told apart by the colour-blind as well (Okabe and Ito).
const REASON_COLORS = ['#56b4e9', '#e69f00', '#009e73', '#cc79a7', '#0072b2', '#d55e00', '#f0e442', '#999999'];

// A track for each thread.
const timeline = {
  from: 0,
  until: null,
  sortedBy: 'weight',
  bins: new Map(),
  start() {
    this.canvas = pictureOf('Threads over time. W and S zoom, A and D pan, F fits the selection, dragging selects; arrows go to moments and threads, Enter selects the thread.', () => this.draw());
    this.canvas.addEventListener('keydown', (event) => this.arrow(event));
    this.spacer = element('div', { class: 'flame-spacer' }, this.canvas);
    this.scroller = element('div', { class: 'flame' }, this.spacer);
    this.legend = element('div', { class: 'legend' });
    this.nothing = element('p', { class: 'nothing', hidden: true });
    this.redraw = onceAFrame(() => this.draw());
    this.scroller.addEventListener('scroll', this.redraw, { passive: true });
    new ResizeObserver(this.redraw).observe(this.scroller);
    dragTime(this.canvas, () => ({ left: this.left, width: this.width, from: this.from, until: this.until }), this.redraw);
    this.canvas.addEventListener('mousemove', (event) => this.hover(event));
    this.canvas.addEventListener('mouseleave', hideTip);
    this.canvas.addEventListener('click', (event) => {
      const track = this.trackAt(event);
      if (track && event.clientX - this.canvas.getBoundingClientRect().left < this.left) this.selectOnly(track);
    });
    zoomByWheel(this.canvas, this, () => this);
  },
  async update() {
    this.until ??= allTicks();
    const wait = head.series.findIndex((one) => one.kind === 'off-cpu' && one.timed);
    this.waits = wait >= 0 ? head.series[wait] : null;
    await Promise.all([this.waits, callSeries()].filter(Boolean).map(readSeries));
    this.bins.clear();
    const weights = new Map();
    for (const one of this.shown()) {
      for (const [section] of one.rows) {
        const rows = rowsOf.get(section);
        const left = rows && weightsLeft(rows);
        for (const run of rows?.runs ?? []) {
          const track = weights.get(run.thread) ?? { thread: run.thread, weight: 0, runs: [] };
          weights.set(run.thread, track);
          track.runs.push({ one, section, rows, ...run });
          if (one === series()) for (let row = run.start; row < run.end; row++) track.weight += left[row];
        }
      }
    }
    const matches = selection.search.toLowerCase();
    this.tracks = [...weights.values()];
    const found = this.tracks.filter((track) => threadText(track.thread).toLowerCase().includes(matches));
    if (found.length) this.tracks = found;
    const by = { weight: (a, b) => b.weight - a.weight, name: (a, b) => (threadText(a.thread) < threadText(b.thread) ? -1 : 1), thread: (a, b) => a.thread - b.thread }[this.sortedBy];
    this.tracks.sort(by);
    this.lanes = lanes();
    this.reasons = this.waits ? this.reasonsOf() : new Map();
    this.legend.replaceChildren(...(this.reasons.size ? ['Below each track, off the CPU: '] : []), ...Array.from(this.reasons, ([name, color]) =>
      element('span', {}, element('i', { style: { background: color } }), name)));
    const timed = series().timed || this.waits;
    this.nothing.hidden = Boolean((timed && this.tracks.some((track) => track.weight > 0 || this.reasons.size)) || this.lanes.length);
    this.nothing.textContent = nothingText(!timed);
    this.draw();
  },
  shown() {
    return new Set([series(), this.waits].filter(Boolean));
  },
  // The rows of a track that show most of what is in view.
  *near(track) {
    for (const run of track.runs) {
      const rows = closest(run.section, this.from, this.until);
      rows.byThread ??= new Map(rows.runs.map((one) => [one.thread, one]));
      const found = rows.byThread.get(run.thread);
      if (found) yield { one: run.one, rows, ...found };
    }
  },
  // Reasons with most time have colours of their own.
  reasonsOf() {
    const sums = new Map();
    for (const rows of partsOf(this.waits)) {
      const weight = weightsLeft(rows);
      for (let row = 0; row < rows.count; row++) {
        const name = reasonOf(rows.node[row]);
        sums.set(name, (sums.get(name) ?? 0) + weight[row]);
      }
    }
    const names = [...sums.keys()].filter((name) => sums.get(name) > 0).sort((a, b) => sums.get(b) - sums.get(a));
    return new Map(names.slice(0, 7).map((name, i) => [name, REASON_COLORS[i]]));
  },
  show(from, length) {
    [this.from, this.until] = windowIn(from, length, 0, allTicks());
    const redraw = () => {
      this.bins.clear();
      this.redraw();
    };
    redraw();
    if (length < allTicks()) lookCloser(this, [...this.shown(), callSeries()].filter(Boolean), redraw);
  },
  key(event) {
    const length = this.until - this.from;
    const act = {
      w: () => zoomWindow(this, 0.7, 0.5), s: () => zoomWindow(this, 1 / 0.7, 0.5),
      a: () => this.show(this.from - length / 5, length), d: () => this.show(this.from + length / 5, length),
      f: () => {
        const [from, until] = selectedRange() ?? [0, allTicks()];
        this.show(from, Math.max(until - from, 10));
      },
    }[event.key.toLowerCase()];
    act?.();
    return Boolean(act);
  },
  // The number of what is there: lanes come before tracks.
  numberAt(event) {
    const y = event.clientY - this.canvas.getBoundingClientRect().top + this.scroller.scrollTop - 16;
    return Math.floor(y / TRACK);
  },
  trackAt(event) {
    return this.tracks[this.numberAt(event) - this.lanes.length];
  },
  selectOnly(track) {
    const only = selection.threads?.size === 1 && selection.threads.has(track.thread);
    select({ threads: only ? null : new Set([track.thread]) });
  },
  // Moves the cursor: to another moment, or another track or lane.
  arrow(event) {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    const last = this.lanes.length + this.tracks.length - 1;
    const cursor = this.cursor ?? { number: 0, x: 0 };
    const track = this.tracks[cursor.number - this.lanes.length];
    if (event.key === 'Enter' && this.cursor && track) this.selectOnly(track);
    else if (!x && !y) return;
    else {
      const number = Math.min(Math.max(cursor.number + y, 0), Math.max(last, 0));
      this.cursor = { number, x: Math.min(Math.max(cursor.x + x / 100, 0), 1) };
      const { scrollTop, clientHeight } = this.scroller;
      const top = number * TRACK;
      if (top < scrollTop || top + TRACK + 16 > scrollTop + clientHeight) this.scroller.scrollTop = Math.max(0, top - clientHeight / 2);
      say(this.describe(number, this.cursor.x * this.width).join(' · '));
      this.draw();
    }
    event.preventDefault();
  },
  hover(event) {
    const number = this.numberAt(event);
    if (number < 0 || number >= this.lanes.length + this.tracks.length || dragged) return hideTip();
    const lines = this.describe(number, event.clientX - this.canvas.getBoundingClientRect().left - this.left);
    showTip(event, lines);
    say(lines.join(' · '));
  },
  // What is known of a lane or track and, right of names, of a moment.
  describe(number, x) {
    const [lane, track] = [this.lanes[number], this.tracks[number - this.lanes.length]];
    const tick = this.from + (x / this.width) * (this.until - this.from);
    if (lane) return [lane.title, ...(x >= 0 ? lane.at(tick, this.width / (this.until - this.from)) : [])];
    const lines = [threadText(track.thread), `${amount(track.weight, series().unit)} ${series().spent}`];
    if (x >= 0) {
      lines.push(`at ${moment(tick * head.tick_ns, (this.until - this.from) * head.tick_ns)}`);
      for (const run of this.near(track)) {
        if (run.one !== this.waits || !run.rows.time) continue;
        let row = firstAfter(run.rows.time, run.start, run.end, tick) - 1;
        if (row >= run.start && run.rows.time[row] + run.rows.duration[row] >= tick && weightsLeft(run.rows)[row] > 0) {
          lines.push(`${reasonOf(run.rows.node[row])}: ${duration(run.rows.duration[row] * head.tick_ns)}`);
        }
      }
    }
    return lines;
  },
  draw() {
    const { clientWidth, clientHeight: height, scrollTop } = this.scroller;
    if (!clientWidth || !this.tracks) return;
    this.left = clientWidth < 600 ? 90 : 190;
    this.width = clientWidth - this.left;
    const shown = [...this.lanes, ...this.tracks];
    this.spacer.style.height = `${shown.length * TRACK + 18}px`;
    this.canvas.style.width = `${clientWidth}px`;
    this.canvas.style.height = `${height}px`;
    const draw = fitted(this.canvas, clientWidth, height);
    const text = styleOf('--text');
    const first = Math.max(0, Math.floor((scrollTop - 16) / TRACK));
    for (let i = first; i < shown.length && 16 + i * TRACK - scrollTop < height; i++) {
      const track = shown[i];
      const y = 16 + i * TRACK - scrollTop;
      if (track.draw) track.draw(draw, this.left, y, this.width, this.from, this.until);
      else this.drawTrack(draw, track, y);
      draw.fillStyle = styleOf('--back');
      draw.fillRect(0, y, this.left, TRACK);
      draw.globalAlpha = track.runs && selection.threads && !selection.threads.has(track.thread) ? 0.45 : 1;
      draw.fillStyle = text;
      draw.fillText(fittingText(draw, track.title ?? threadText(track.thread), this.left - 8), 4, y + TRACK / 2);
      draw.globalAlpha = 1;
      draw.fillStyle = styleOf('--line');
      draw.fillRect(0, y + TRACK - 1, clientWidth, 1);
    }
    draw.fillStyle = styleOf('--back');
    draw.fillRect(0, 0, clientWidth, 16);
    drawAxis(draw, this.left, this.width, 16, this.from, this.until);
    drawSelected(draw, this.left, this.width, height, this.from, this.until);
    if (!this.cursor) return;
    draw.fillStyle = styleOf('--accent');
    draw.fillRect(this.left + this.cursor.x * this.width - 1, 16 + this.cursor.number * TRACK - scrollTop, 2, TRACK);
  },
  drawTrack(draw, track, y) {
    const one = series();
    let bins = this.bins.get(track.thread);
    const size = Math.max(1, Math.floor(this.width));
    if (bins?.length !== size) {
      bins = new Float64Array(size);
      for (const run of this.near(track)) if (run.one === one && run.rows.time) addBins(bins, one, run.rows, run.start, run.end, this.from, this.until);
      this.bins.set(track.thread, bins);
    }
    const full = one.unit === 'nanoseconds' ? ((this.until - this.from) * head.tick_ns) / bins.length : bins.reduce((a, b) => Math.max(a, b), 1);
    const room = this.waits ? TRACK - 8 : TRACK - 2;
    draw.fillStyle = styleOf('--activity');
    const heightOf = (value) => (value > 0 ? Math.max(1, Math.round(Math.min(value / full, 1) * room)) : 0);
    // Neighbours of one height are one bar: drawing is what takes the time.
    for (let x = 0, height = heightOf(bins[0]); x < bins.length;) {
      let [end, next] = [x + 1, 0];
      while (end < bins.length && (next = heightOf(bins[end])) === height) end++;
      if (height > 0) draw.fillRect(this.left + x, y + room - height, end - x, height);
      [x, height] = [end, next];
    }
    const scale = this.width / (this.until - this.from);
    for (const run of this.near(track)) {
      if (run.one !== this.waits || !run.rows.duration) continue;
      const { time, duration: lasts, node } = run.rows;
      const weight = weightsLeft(run.rows);
      let right = 0;
      const end = firstAfter(time, run.start, run.end, this.until);
      for (let row = run.start; row < end; row++) {
        const stop = time[row] + lasts[row];
        if (stop < this.from || weight[row] === 0) continue;
        const [a, b] = pixelsOf((time[row] - this.from) * scale, (stop - this.from) * scale, right, this.width);
        if (b <= a) continue;
        draw.fillStyle = this.reasons.get(reasonOf(node[row])) ?? REASON_COLORS[7];
        draw.fillRect(this.left + a, y + room + 1, b - a, 5);
        right = b;
      }
    }
  },
};

// Why a stack waited, or which call it made.
const reasonText = (frame) => (code.kind[frame] === 'reason' ? nameOf(frame).replace(/^\[[\w-]+: |\]$/g, '') : 'unknown');
const reasonOf = (node) => reasonText(code.tree.frame[node]);

// Shows a stretch of time in the timeline, and some of it before and after.
function lookAtTime({ from, until }) {
  const length = until - from;
  timeline.until ??= allTicks();
  timeline.show(from - length, 3 * length);
  select({ view: 'timeline' });
}

let several = null; // Whether threads are of several processes.

function threadText(index) {
  const { thread, tid, process, pid } = head.threads[index];
  several ??= head.threads.some((one) => one.pid !== head.threads[0].pid);
  const of = several && process && pid !== tid ? ` of ${process} ${pid ?? ''}` : '';
  return `${thread || 'thread'} ${tid ?? ''}${of}`.trim();
}

function timelineView() {
  const sort = choice('Sort by', timeline.sortedBy, [['weight', 'most first'], ['name', 'name'], ['thread', 'appearance']], (by) => {
    timeline.sortedBy = by;
    timeline.update().catch(failed);
  });
  const button = (key, text) => element('button', { onclick: () => timeline.key({ key }) }, text);
  return {
    node: element('div', { class: 'fill' },
      element('div', { class: 'tools' }, sort, button('w', 'Closer (W)'), button('s', 'Further (S)'), button('a', '← (A)'), button('d', '→ (D)'), button('f', 'Fit (F)'),
        element('button', { onclick: keepAsBefore, title: 'Compare what is selected next with what is selected now' }, 'Keep as before (B)')),
      timeline.legend, timeline.nothing, timeline.scroller),
    update: () => timeline.update(),
    key: (event) => timeline.key(event),
  };
}
