// How numbers look, and elements. Texts become text nodes, and nothing else.

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (key === 'style') for (const [name, text] of Object.entries(value)) made.style.setProperty(name, text);
    else if (key === 'class') made.className = value;
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

const byId = (id) => document.getElementById(id);

function digits(number) {
  return number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number.toFixed(2);
}

function scaled(number, steps, factor) {
  let step = 0;
  while (step + 1 < steps.length && Math.abs(number) >= factor * 0.9995) {
    number /= factor;
    step++;
  }
  return `${step === 0 && Number.isInteger(number) ? number : digits(number)} ${steps[step]}`.trim();
}

function duration(ns) {
  if (ns == null) return '–';
  if (Math.abs(ns) < 60e9) return scaled(ns, ['ns', 'µs', 'ms', 's'], 1000);
  const seconds = Math.round(ns / 1e9);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h} h ${m} min` : `${m} min ${s} s`;
}

function bytes(number) {
  return number == null ? '–' : scaled(number, ['B', 'KiB', 'MiB', 'GiB', 'TiB'], 1024);
}

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
function count(number) {
  return number == null ? '–' : grouped.format(number);
}

// A weight in a unit of the head.
function amount(weight, unit) {
  switch (unit) {
    case 'nanoseconds': return duration(weight);
    case 'bytes': return bytes(weight);
    case 'cycles': return scaled(weight, ['', 'k', 'M', 'G', 'T'], 1000) + ' cycles';
    default: return count(weight);
  }
}

function percent(part, all) {
  if (!all) return '–';
  const share = (100 * part) / all;
  return `${share >= 99.95 ? share.toFixed(0) : share >= 10 ? share.toFixed(1) : share.toFixed(2)} %`;
}

// A moment since the start, as exact as a range of that length needs.
function moment(ns, range) {
  const places = Math.max(0, Math.min(6, Math.ceil(2 - Math.log10(Math.max(range, 1) / 1e9))));
  return `${(ns / 1e9).toFixed(places)} s`;
}

// Where lines of an axis go: about one every `distance` pixels.
function axisStep(range, pixels, distance) {
  const least = (range * distance) / Math.max(pixels, 1);
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least);
}
