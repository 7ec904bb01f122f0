// A graph of boxes: as wide as what they stand for, callers above or below.

const NARROWEST = 0.5; // Pixels; what is narrower is not drawn.
const INK = '#16181d'; // Of labels, on frames of any colour.

class FlameGraph {
  // `makeRoot` gives the root box of what is selected.
  constructor(name, makeRoot) {
    this.makeRoot = makeRoot;
    this.canvas = pictureOf(`${name}. Arrows go from frame to frame; the table has the same functions.`, () => this.draw(), { class: 'flame-canvas' });
    this.spacer = element('div', { class: 'flame-spacer' }, this.canvas);
    this.scroller = element('div', { class: 'flame' }, this.spacer);
    this.nothing = element('p', { class: 'nothing', hidden: true });
    this.node = element('div', { class: 'flame-holder' }, this.nothing, this.scroller);
    this.zoomed = null;
    this.chosen = null;
    this.hovered = null;
    this.boxes = [];
    this.picture = element('canvas');
    this.redraw = onceAFrame(() => this.draw());
    this.repoint = onceAFrame(() => this.point());
    this.relayout = onceAFrame(() => this.layout());
    this.scroller.addEventListener('scroll', this.redraw, { passive: true });
    new ResizeObserver(this.relayout).observe(this.scroller);
    this.canvas.addEventListener('mousemove', (event) => this.hover(event));
    this.canvas.addEventListener('mouseleave', () => this.leave());
    this.canvas.addEventListener('click', (event) => this.click(event));
    this.canvas.addEventListener('dblclick', () => views.has('source') && openSource());
    this.canvas.addEventListener('keydown', (event) => this.key(event));
  }

  // Takes what is selected now, and stays where it was as far as that is still there.
  update() {
    const path = this.zoomed?.path ?? [];
    this.root = this.makeRoot();
    this.zoomed = this.root;
    for (const frame of path) {
      const next = this.zoomed.below.find((box) => box.frame === frame);
      if (!next) break;
      this.zoomed = next;
    }
    this.chosen = null;
    this.hovered = null;
    const empty = this.root.total <= 0;
    this.nothing.hidden = !empty;
    this.nothing.textContent = empty ? nothingText() : '';
    this.scroller.hidden = empty;
    this.layout();
  }

  // Places of all boxes that are wide enough to be seen in so many pixels. A graph that
  // is not on the page has no width of its own.
  layout(width = this.scroller.clientWidth || 1200) {
    if (!this.root) return [];
    const boxes = [];
    const above = [];
    for (let box = this.zoomed; box; box = box.above) above.unshift(box);
    above.forEach((box, depth) => boxes.push({ box, x: 0, width, depth }));
    const pending = [boxes[boxes.length - 1]];
    let deepest = above.length;
    while (pending.length) {
      const { box, x, width: wide, depth } = pending.pop();
      if (box.total <= 0) continue;
      let left = x;
      for (const kid of box.below) {
        const kidWidth = (wide * kid.total) / box.total;
        if (kidWidth < NARROWEST) break; // The others are not wider.
        const place = { box: kid, x: left, width: kidWidth, depth: depth + 1 };
        boxes.push(place);
        pending.push(place);
        left += kidWidth;
        deepest = Math.max(deepest, depth + 2);
      }
    }
    this.boxes = boxes;
    this.rows = [];
    for (const place of boxes) (this.rows[place.depth] ??= []).push(place);
    this.rows.forEach((row) => row.sort((a, b) => a.x - b.x));
    this.spacer.style.height = `${deepest * ROW + 2}px`;
    this.draw();
    return boxes;
  }

  // Draws what the view shows, without what the pointer is on.
  draw() {
    if (!this.root || this.scroller.hidden) return;
    const { clientWidth: width, clientHeight: height } = this.scroller;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const draw = fitted(this.picture, width, height);
    const matches = searched();
    const [faded, text] = [styleOf('--faded'), styleOf('--text')];
    const zoomDepth = this.zoomed.path.length;
    this.eachShown((depth, y) => {
      draw.globalAlpha = depth < zoomDepth ? 0.5 : 1;
      for (const { box, x, width: wide } of this.rows[depth]) {
        const isFaded = matches !== null && !matches[box.frame] && box.above !== null;
        const gap = wide > 3 ? 1 : 0;
        draw.fillStyle = isFaded ? faded : this.color(box);
        draw.fillRect(x, y, wide - gap, ROW - 1);
        if (wide > 20) {
          draw.fillStyle = isFaded ? text : INK;
          draw.fillText(fittingText(draw, box.above ? labelOf(box.frame) : this.rootText(), wide - 6), x + 3, y + ROW / 2);
        }
      }
    });
    draw.globalAlpha = 1;
    this.point();
  }

  // Calls for each row that is in view, with its place.
  eachShown(act) {
    const { clientHeight: height, scrollTop } = this.scroller;
    const end = Math.min(this.rows.length, Math.ceil((scrollTop + height) / ROW));
    for (let depth = Math.floor(scrollTop / ROW); depth < end; depth++) act(depth, depth * ROW - scrollTop);
  }

  // Shows that picture with what is pointed at, wherever it is, and what is chosen.
  point() {
    if (!this.root || this.scroller.hidden) return;
    const { clientWidth: width, clientHeight: height } = this.scroller;
    const draw = fitted(this.canvas, width, height);
    draw.drawImage(this.picture, 0, 0, width, height);
    const same = this.hovered?.box.above ? code.symbol[this.hovered.box.frame] : -1;
    this.eachShown((depth, y) => {
      for (const { box, x, width: wide } of this.rows[depth]) {
        if (same >= 0 && code.symbol[box.frame] === same) {
          draw.fillStyle = 'rgb(255 255 255 / 0.45)';
          draw.fillRect(x, y, Math.max(wide - 1, 1), ROW - 1);
        }
        if (box === this.chosen) {
          draw.strokeStyle = styleOf('--text');
          draw.lineWidth = 2;
          draw.strokeRect(x + 1, y + 1, Math.max(wide - 3, 1), ROW - 3);
        }
      }
    });
  }

  color(box) {
    return isComparing() ? changeColor(box) : colorOf(box.frame, colorsBy === 'thread' ? threadMost(box) : null);
  }

  describe(box) {
    return isComparing() ? describeChange(box) : describeBox(box, this.root);
  }

  rootText() {
    if (comparison.head) return comparison.head.name;
    return isComparing() ? `all: ${describeChange(this.root)[1]}` : `all: ${amount(this.root.total, series().unit)}`;
  }

  at(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const x = event.clientX - bounds.left;
    const row = this.rows?.[Math.floor((event.clientY - bounds.top + this.scroller.scrollTop) / ROW)];
    return row?.find((place) => x >= place.x && x < place.x + place.width) ?? null;
  }

  hover(event) {
    const place = this.at(event);
    if (place?.box !== this.hovered?.box) {
      this.hovered = place;
      this.repoint();
    }
    this.canvas.classList.toggle('pointing', Boolean(place));
    if (place) {
      lastGraph = this;
      const lines = this.describe(place.box);
      showTip(event, lines);
      say(lines.join(' · '));
    } else hideTip();
  }

  leave() {
    hideTip();
    this.hovered = null;
    this.repoint();
  }

  click(event) {
    const place = this.at(event);
    if (!place) return;
    this.choose(place.box);
    this.zoom(place.box);
  }

  choose(box) {
    this.chosen = box;
    lastGraph = this;
    say(this.describe(box).join(' · '));
    this.repoint();
  }

  zoom(box) {
    this.zoomed = box;
    this.layout();
  }

  whole() {
    this.zoom(this.root);
  }

  // The frame that keys are about.
  frameAtHand() {
    const box = this.chosen ?? this.hovered?.box;
    return box?.above ? box.frame : null;
  }

  // Leaves the zoom; false if there was none.
  back() {
    if (!this.zoomed?.above) return false;
    this.zoom(this.zoomed.above.above ? this.zoomed.above : this.root);
    return true;
  }

  // Chooses the next box that the search finds, or the one before.
  find(step) {
    const matches = searched();
    const found = matches ? this.boxes.filter(({ box, width }) => matches[box.frame] && width >= 2).map(({ box }) => box) : [];
    if (!found.length) return say(matches ? 'Nothing is found in what is drawn.' : 'Search for something first: /');
    const box = found[(found.indexOf(this.chosen) + step + found.length) % found.length];
    this.choose(box);
    this.reveal(box);
  }

  key(event) {
    const box = this.chosen ?? this.zoomed;
    const siblings = box.above?.below ?? [box];
    const index = siblings.indexOf(box);
    const next = {
      ArrowDown: () => box.below[0],
      ArrowUp: () => box.above,
      ArrowLeft: () => siblings[index - 1],
      ArrowRight: () => siblings[index + 1],
    }[event.key];
    if (next) {
      const found = next();
      if (found) {
        this.choose(found);
        this.reveal(found);
      }
      event.preventDefault();
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.zoom(box);
      event.preventDefault();
    }
  }

  reveal(box) {
    const y = box.path.length * ROW;
    const { scrollTop, clientHeight } = this.scroller;
    if (y < scrollTop || y + ROW > scrollTop + clientHeight) this.scroller.scrollTop = Math.max(0, y - clientHeight / 2);
  }
}

// The graph that keys are for.
let lastGraph = null;

function describeBox(box, root) {
  const unit = series().unit;
  if (!box.above) return [`all: ${amount(root.total, unit)}`, `${count(root.samples)} samples`];
  box.below; // Tells what is its own.
  const home = moduleOf(box.frame);
  return [
    labelOf(box.frame),
    ...(home ? [home] : []),
    ...(colorsBy === 'thread' ? [`most of it in ${threadText(threadMost(box))}`] : []),
    `total ${amount(box.total, unit)} (${percent(box.total, root.total)}), ${count(box.samples)} samples`,
    `self ${amount(box.own, unit)} (${percent(box.own, root.total)})`,
  ];
}

// Why there is nothing to see.
function nothingText(asksForTimes = false, one = series()) {
  if (comparison.head && compared().sides.some((side) => side.all > 0)) return 'With this width of frames there is nothing to draw: choose another one.';
  if (selection.before && !canCompare()) return `${one.title} has no times here, so that ranges of time cannot be compared.`;
  if (one.total.samples === 0) return `There are no samples of ${one.title}: ${one.none}.`;
  if (asksForTimes) return `${one.title} has no times: choose another event.`;
  if (selection.filters.length) return `What is selected has no samples of ${one.title}. Take back a filter above, or press Esc.`;
  return `No samples of ${one.title} are in the selected time and threads.`;
}

const flameGraph = new FlameGraph('Flame graph', () => (selection.inverted ? inverted(sums()) : topDown(sums())));

function choice(label, value, options, change) {
  return element('label', {}, label, ' ', element('select', { onchange: (event) => change(event.target.value) },
    ...options.map(([key, text]) => element('option', { value: key, selected: key === value }, text))));
}

const colorChoice = (redraw) => choice('Colours by', colorsBy, [['kind', 'kind'], ['module', 'module'], ['thread', 'thread']], (by) => {
  colorsBy = by;
  redraw();
});

function flameView() {
  lastGraph = flameGraph;
  const direction = choice('Order', selection.inverted ? '1' : '', [['', 'callers first'], ['1', 'inverted: own time first']],
    (value) => select({ inverted: value === '1' }));
  const reset = element('button', { onclick: () => flameGraph.whole() }, 'Whole graph (0)');
  const bar = isComparing() ? comparisonBar() : null;
  const tools = comparison.head ? [reset] : [direction, bar ? null : colorChoice(() => flameGraph.draw()), reset, sourceButton(), filterButtons()];
  return {
    node: element('div', { class: 'fill' }, element('div', { class: 'tools' }, ...tools), bar?.node, flameGraph.node),
    update() {
      bar?.update();
      flameGraph.update();
    },
  };
}

// Filters that need no function.
function filterButtons() {
  const add = (op, text) => element('button', { onclick: () => addFilter({ op, arg: null }) }, text);
  const has = (of) => code.kind.some(of);
  return element('span', { class: 'filter-buttons' },
    add('recursion', 'Close recursion'),
    has((kind) => kind === 'kernel') ? add('nokernel', 'Without kernel') : null,
    code.runtime.some(Boolean) ? add('runtime', 'Only runtimes') : null);
}

function addFilter(filter) {
  select({ filters: [...selection.filters, filter] });
}
