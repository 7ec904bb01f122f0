// Canvases of the size of what is seen, and colours.

const ROW = 18; // Height of a frame in CSS pixels.
const FONT = '12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace';

// Colours of kinds of frames, apart for the colour-blind as well: hue, saturation,
// lightness. Functions of the process vary around theirs.
const KIND_COLORS = {
  all: [220, 10, 80], recording: [220, 10, 75], process: [220, 12, 72], function: [36, 90, 68],
  inlined: [48, 75, 72], kernel: [210, 75, 70], jit: [150, 45, 65], runtime: [275, 50, 77],
  truncated: [0, 0, 60], lost: [0, 0, 60], reason: [0, 0, 78], 'no-stack': [0, 0, 65],
};

let colorsBy = 'kind';

function hashOf(text) {
  let hash = 2166136261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  return hash >>> 0;
}

const frameColors = { kind: [], module: [] };
// `thread`: the one that it is of, where colours are by thread.
function colorOf(frame, thread) {
  // Neighbours in the list of threads are far apart on the wheel of colours.
  if (colorsBy === 'thread') return code.isFunction[frame] ? `hsl(${(thread * 137.5) % 360} 55% 70%)` : 'hsl(0 0% 78%)';
  let color = frameColors[colorsBy][frame];
  if (!color) {
    let [hue, saturation, lightness] = KIND_COLORS[code.kind[frame]] ?? [0, 0, 70];
    if (code.isFunction[frame] && code.kind[frame] !== 'reason') {
      const hash = hashOf(colorsBy === 'module' ? moduleOf(frame) : nameOf(frame));
      if (colorsBy === 'module') [hue, saturation, lightness] = [(hash % 36) * 10, 55, 70];
      else {
        hue += (hash % 13) - 6;
        lightness += ((hash >> 8) % 13) - 6;
      }
    }
    color = `hsl(${hue} ${saturation}% ${lightness}%)`;
    frameColors[colorsBy][frame] = color;
  }
  return color;
}

// An opaque colour as a pixel of an image.
const knownPixels = new Map();
const paint = document.createElement('canvas').getContext('2d');
function pixelOf(color) {
  let pixel = knownPixels.get(color);
  if (pixel === undefined) {
    paint.fillStyle = color;
    paint.fillRect(0, 0, 1, 1);
    [pixel] = new Uint32Array(paint.getImageData(0, 0, 1, 1).data.buffer);
    knownPixels.set(color, pixel);
  }
  return pixel;
}

function styleOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A picture that keys work on, and what it is. What arrows go to is said in the status.
function pictureOf(name, drawNow, attributes = {}) {
  const canvas = element('canvas', { tabindex: 0, role: 'application', 'aria-label': name, 'aria-describedby': 'status', ...attributes });
  canvas.drawNow = drawNow;
  return canvas;
}

// Paper is light. Pictures have their colours before the printer's style is there.
let themeOfScreen;
addEventListener('beforeprint', () => {
  const { dataset } = document.documentElement;
  themeOfScreen = dataset.theme;
  dataset.theme = 'light';
  drawPictures();
});
addEventListener('afterprint', () => {
  const { dataset } = document.documentElement;
  if (themeOfScreen) dataset.theme = themeOfScreen;
  else delete dataset.theme;
  drawPictures();
});
const drawPictures = () => document.querySelectorAll('canvas').forEach((canvas) => canvas.drawNow?.());

// Makes the canvas as large as its box, and gives what to draw with in CSS pixels.
function fitted(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const draw = canvas.getContext('2d');
  draw.setTransform(scale, 0, 0, scale, 0, 0);
  draw.clearRect(0, 0, width, height);
  draw.font = FONT;
  draw.textBaseline = 'middle';
  return draw;
}

// Of a span in pixels the whole ones that it gets, from the first one that is not taken:
// at least one, as parts of them would hardly be seen; none if those are taken.
function pixelsOf(begin, stop, taken, width) {
  const first = Math.max(Math.floor(begin), taken);
  const end = Math.min(stop, width);
  return [first, end > first ? Math.max(Math.round(end), first + 1) : first];
}

let letterWidth = 0;
function fittingText(draw, text, width) {
  letterWidth ||= draw.measureText('m').width;
  const letters = Math.floor(width / letterWidth);
  if (letters < 2) return '';
  return text.length <= letters ? text : text.slice(0, letters - 1) + '…';
}

// Calls `draw` before the next picture, once however often it was asked for.
function onceAFrame(draw) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      draw();
    });
  };
}

function showTip(event, lines) {
  const tip = byId('tip');
  tip.replaceChildren(...lines.map((line, i) => element(i ? 'div' : 'strong', {}, line)));
  tip.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = tip;
  const left = Math.min(event.clientX + 14, innerWidth - width - 4);
  const top = event.clientY + 18 + height > innerHeight ? event.clientY - height - 8 : event.clientY + 18;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${Math.max(0, top)}px`;
}

function hideTip() {
  byId('tip').hidden = true;
}
