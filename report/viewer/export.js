// What is selected, as files of other tools.

// Stacks with own weight, root first, ordered by their nodes.
function* selectedStacks() {
  const { tree, own, samples } = selectedSums();
  for (let node = 1; node < tree.size; node++) {
    if (own[node] <= 0) continue;
    const path = [];
    for (let at = node; at !== ROOT; at = tree.parent[at]) path.push(tree.frame[at]);
    yield { path: path.reverse(), weight: own[node], samples: samples[node] };
  }
}

const FORMATS = {
  folded: {
    title: 'Folded stacks', extension: 'folded', type: 'text/plain',
    make: () => Array.from(selectedStacks(), ({ path, weight }) => `${path.map((frame) => labelOf(frame).replace(/[;\n]/g, ':')).join(';')} ${weight}\n`).join(''),
  },
  speedscope: { title: 'speedscope', extension: 'speedscope.json', type: 'application/json', make: speedscope },
  json: {
    title: 'Functions as JSON', extension: 'json', type: 'application/json',
    make: () => JSON.stringify({
      schema: 'rz-page-functions', trace: head.name, event: series().name, unit: series().unit, address: toFragment(),
      total: { samples: selectedSums().allSamples, weight: selectedSums().all },
      functions: selectedSums().functions.slice().sort((a, b) => b.own - a.own).map((row) => ({
        function: code.names[row.symbol], module: code.modules[row.symbol],
        self: { samples: row.ownSamples, weight: row.own }, total: { samples: row.totalSamples, weight: row.total },
      })),
    }, null, 1),
  },
  svg: { title: 'Flame graph as SVG', extension: 'svg', type: 'image/svg+xml', make: svg },
};

function speedscope() {
  const frames = new Map();
  const numberOf = (frame) => {
    if (!frames.has(frame)) frames.set(frame, frames.size);
    return frames.get(frame);
  };
  const [samples, weights] = [[], []];
  for (const { path, weight } of selectedStacks()) {
    samples.push(path.map(numberOf));
    weights.push(weight);
  }
  const unit = { nanoseconds: 'nanoseconds', bytes: 'bytes' }[series().unit] ?? 'none';
  const all = weights.reduce((a, b) => a + b, 0);
  return JSON.stringify({
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    shared: { frames: Array.from(frames.keys(), (frame) => ({ name: labelOf(frame), file: moduleOf(frame) || undefined })) },
    profiles: [{ type: 'sampled', name: `${head.name} ${series().title}`, unit, startValue: 0, endValue: all, samples, weights }],
    name: head.name, exporter: head.generator,
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
  openDialog('Export what is selected', element('p', {}, `${amount(selectedSums().all, series().unit)} of ${series().title}, ${count(selectedSums().allSamples)} samples.`),
    element('div', { class: 'choices' }, ...Object.entries(FORMATS).map(button), element('button', { onclick: savePicture }, 'This picture as PNG')));
}
