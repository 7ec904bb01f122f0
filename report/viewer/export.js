// What is selected, as files of other tools.

// What is shown: of a comparison, both sides in its unit.
const shownSides = () => (isComparing() ? compared().sides : [selectedSums()]);
const shownUnit = () => (isComparing() ? compared().unit : series().unit);

// What the sides of a comparison are.
const sideNames = () => (comparison.head ? comparison.head.sides : selectedParts().map(partText));

// Stacks with own weights of any side, root first, ordered by their nodes.
function* shownStacks() {
  const sides = shownSides();
  const [{ tree }] = sides;
  for (let node = 1; node < tree.size; node++) {
    const weights = sides.map(({ own }) => own[node]);
    if (!weights.some((weight) => weight > 0)) continue;
    const path = [];
    for (let at = node; at !== ROOT; at = tree.parent[at]) path.push(tree.frame[at]);
    yield { path: path.reverse(), weights };
  }
}

function json() {
  const both = isComparing() ? { before: sideNames()[0], after: sideNames()[1] } : null;
  const common = { schema: 'rz-page-functions', trace: head.name, event: series().title, unit: shownUnit(), ...both, address: toFragment() };
  const name = (row) => ({ function: code.names[row.symbol], module: code.modules[row.symbol] });
  if (both) return { ...common, functions: compared().both.slice().sort(byChange('self')).map((row) => ({ ...name(row), self: row.self, total: row.total })) };
  const sums = selectedSums();
  return {
    ...common, event: series().name, total: { samples: sums.allSamples, weight: sums.all },
    functions: sums.functions.slice().sort((a, b) => b.own - a.own).map((row) => ({
      ...name(row), self: { samples: row.ownSamples, weight: row.own }, total: { samples: row.totalSamples, weight: row.total },
    })),
  };
}

const FORMATS = {
  folded: {
    title: 'Folded stacks', extension: 'folded', type: 'text/plain',
    make: () => Array.from(shownStacks(), ({ path, weights }) => `${path.map((frame) => labelOf(frame).replace(/[;\n]/g, ':')).join(';')} ${weights.join(' ')}\n`).join(''),
  },
  speedscope: { title: 'speedscope', extension: 'speedscope.json', type: 'application/json', make: speedscope },
  json: { title: 'Functions as JSON', extension: 'json', type: 'application/json', make: () => JSON.stringify(json(), null, 1) },
  svg: { title: 'Flame graph as SVG', extension: 'svg', type: 'image/svg+xml', make: svg },
};

function speedscope() {
  const frames = new Map();
  const numberOf = (frame) => {
    if (!frames.has(frame)) frames.set(frame, frames.size);
    return frames.get(frame);
  };
  const stacks = Array.from(shownStacks(), ({ path, weights }) => ({ path: path.map(numberOf), weights }));
  const unit = { nanoseconds: 'nanoseconds', bytes: 'bytes' }[shownUnit()] ?? 'none';
  const profile = (_, side) => {
    const own = stacks.filter(({ weights }) => weights[side] > 0);
    const name = isComparing() ? `${['before', 'after'][side]}: ${sideNames()[side]}, ${shownUnit()}` : `${head.name} ${series().title}`;
    const weights = own.map((stack) => stack.weights[side]);
    return { type: 'sampled', name, unit, startValue: 0, endValue: weights.reduce((a, b) => a + b, 0), samples: own.map(({ path }) => path), weights };
  };
  const profiles = shownSides().map(profile);
  return JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    shared: { frames: Array.from(frames.keys(), (frame) => ({ name: labelOf(frame), file: moduleOf(frame) || undefined })) },
    profiles, name: head.name, exporter: head.generator,
  });
}

const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

// The boxes of the flame graph as they are laid out, whether it is shown or not.
function svg() {
  flameGraph.update();
  const wide = flameGraph.scroller.clientWidth || 1200;
  const boxes = flameGraph.layout(wide);
  const deepest = boxes.reduce((most, { depth }) => Math.max(most, depth), 0) + 1;
  const parts = [`<svg xmlns="http://www.w3.org/2000/svg" width="${wide}" height="${deepest * ROW}" font-family="monospace" font-size="12">`];
  for (const { box, x, width, depth } of boxes) {
    const label = box.above ? labelOf(box.frame) : 'all';
    const letters = Math.floor((width - 6) / 7.3);
    const shown = label.length <= letters ? label : letters < 2 ? '' : label.slice(0, letters - 1) + '…';
    const title = isComparing() ? flameGraph.describe(box).join(', ') : `${label}: ${amount(box.total, series().unit)} (${percent(box.total, flameGraph.root.total)})`;
    parts.push(`<g><title>${escaped(title)}<\/title>`
      + `<rect x="${x.toFixed(2)}" y="${depth * ROW}" width="${Math.max(width - 0.5, 0.5).toFixed(2)}" height="${ROW - 1}" fill="${flameGraph.color(box)}"/>`
      + `<text x="${(x + 3).toFixed(2)}" y="${depth * ROW + 13}">${escaped(shown)}<\/text><\/g>`);
  }
  return parts.join('\n') + '<\/svg>\n';
}

function save(text, type, name) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  element('a', { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function savePicture() {
  const canvas = byId('view').querySelector('canvas');
  if (!canvas) return say('This view has no picture.');
  canvas.toBlob((blob) => {
    const address = URL.createObjectURL(blob);
    element('a', { href: address, download: `${head.name}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  });
}

function exportDialog() {
  const button = ([key, format]) => element('button', { 'data-format': key, onclick: () => {
    save(format.make(), format.type, `${head.name.replace(/[^\w.-]/g, '_')}.${format.extension}`);
    byId('dialog').close();
  } }, format.title);
  const what = isComparing()
    ? `Both sides, in ${shownUnit()}: before is ${sideNames()[0]}, after is ${sideNames()[1]}. Folded stacks have two numbers each, as difffolded.pl writes them, and a file for speedscope has two profiles.`
    : `${amount(selectedSums().all, series().unit)} of ${series().title}, ${count(selectedSums().allSamples)} samples.`;
  openDialog('Export what is selected', element('p', {}, what),
    element('div', { class: 'choices' }, ...Object.entries(FORMATS).map(button), element('button', { onclick: savePicture }, 'This picture as PNG')));
}
