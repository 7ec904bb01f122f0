// Lines: the call tree once more, with a node for each line of each function. They are
// read when they are first looked at.

let lines = null; // Until then, or if none are known.

async function readLines() {
  if (lines || !hasSection('lines')) return;
  const [columns, sources] = await Promise.all([unpackColumns('lines'), unpackJson('sources'), readEnds()]);
  const [counts, parents, places, sizes, files, numbers, ofEnds] = columns;
  const nodes = code.tree.size;
  const first = startsOf(readNumbers(counts, new Uint32Array(nodes)));
  const firstPlace = startsOf(readNumbers(sizes, new Uint32Array(code.names.length)));
  const place = readPlaces(files, numbers, firstPlace);
  const size = first[nodes];
  const parent = readNumbers(parents, new Uint32Array(size));
  const placeOf = readNumbers(places, new Uint32Array(size));
  const frame = new Uint32Array(size);
  for (let node = 0; node < nodes; node++) {
    for (let line = first[node]; line < first[node + 1]; line++) {
      frame[line] = code.tree.frame[node];
      parent[line] += first[code.tree.parent[node]];
      placeOf[line] += firstPlace[code.symbol[frame[line]]];
    }
  }
  const ofEnd = readNumbers(ofEnds, new Uint32Array(ends.length)).map((number, end) => number + first[ends[end]]);
  lines = { tree: new Tree(parent, frame, placeOf), ofEnd, place, firstPlace, sources };
}

// Where each of these groups begins, and the last one ends.
function startsOf(sizes) {
  const starts = new Uint32Array(sizes.length + 1);
  sizes.forEach((size, i) => {
    starts[i + 1] = starts[i] + size;
  });
  return starts;
}

// Places of all functions: each is a line, in a file (0: none), that is inlined or not.
// Those of a function that differ in the last alone have a number in common, and so have
// those that differ in the line alone.
function readPlaces(files, numbers, firstPlace) {
  const size = firstPlace[firstPlace.length - 1];
  const file = readNumbers(files, new Uint32Array(size));
  const steps = readNumbers(numbers, new Float64Array(size));
  const made = { file, line: new Uint32Array(size), inlined: new Uint8Array(size), same: new Uint32Array(size), part: new Uint32Array(size), size };
  let number = 0;
  for (let symbol = 0; symbol + 1 < firstPlace.length; symbol++) {
    for (let i = firstPlace[symbol]; i < firstPlace[symbol + 1]; i++) {
      number += signed(steps[i]);
      made.line[i] = Math.floor(number / 2);
      made.inlined[i] = number % 2;
      const here = i > firstPlace[symbol] && file[i] === file[i - 1];
      made.part[i] = here ? made.part[i - 1] : i;
      made.same[i] = here && made.line[i] === made.line[i - 1] ? made.same[i - 1] : i;
    }
  }
  return made;
}

// Places of a function.
function* placesOf(symbol) {
  for (let i = lines.firstPlace[symbol]; i < lines.firstPlace[symbol + 1]; i++) yield i;
}

function hasLines(symbol) {
  for (const i of placesOf(symbol)) if (lines.place.line[i] > 0) return true;
  return false;
}

// Sums of what is selected, over the lines that filters leave.
function lineSums() {
  const of = sums();
  of.lines ??= lineSumsNow();
  return of.lines;
}

function lineSumsNow() {
  const { from, until, threads, filters } = selection;
  const byEnd = [new Float64Array(ends.length), new Float64Array(ends.length)];
  addUp(series(), from, until, threads, ...byEnd, 'end');
  const all = byEnd.map((sums) => {
    const byNode = new Float64Array(lines.tree.size);
    for (let end = 0; end < sums.length; end++) byNode[lines.ofEnd[end]] += sums[end];
    return byNode;
  });
  const { tree, steps } = filteredTree(filters, lines.tree);
  return new Sums(tree, ...passedOn(steps, tree, ...all));
}

class LineSum {
  constructor() {
    Object.assign(this, { own: 0, total: 0, ownSamples: 0, totalSamples: 0 });
  }

  add(sums, node, outermost) {
    this.own += sums.own[node];
    this.ownSamples += sums.samples[node];
    if (outermost) {
      this.total += sums.total[node];
      this.totalSamples += sums.totalSamples[node];
    }
  }
}

// What each line has that the code of a function comes from: its own lines, and those of
// what is inlined into it. A stack counts once for each line that it goes through.
function linesOf(sums, symbol) {
  const { tree, totalSamples } = sums;
  const { frame, place } = tree;
  const { file, line, inlined, same, part: partOf, size } = lines.place;
  const parts = new Map();
  const openLines = new Uint32Array(size);
  const openParts = new Uint32Array(size);
  // Whether a node is code of the function, and whether its line counts there.
  const inside = new Uint8Array(tree.size);
  const counts = new Uint8Array(tree.size);
  const pending = [ROOT];
  while (pending.length) {
    const step = pending.pop();
    const node = step < 0 ? ~step : step;
    const [at, of] = [same[place[node]], partOf[place[node]]];
    if (step < 0) {
      openLines[at]--;
      openParts[of]--;
      continue;
    }
    if (totalSamples[node] === 0) continue;
    const above = tree.parent[node];
    const isIt = code.isFunction[frame[node]] === 1 && code.symbol[frame[node]] === symbol;
    inside[node] = isIt || (node !== ROOT && inlined[place[node]] && inside[above]) ? 1 : 0;
    if (inside[node]) {
      if (!parts.has(of)) parts.set(of, { symbol: code.symbol[frame[node]], file: file[of], inlined: !isIt, sum: new LineSum(), lines: new Map(), calls: new Map() });
      const part = parts.get(of);
      if (!part.lines.has(line[at])) part.lines.set(line[at], new LineSum());
      counts[node] = openLines[at]++ === 0 ? 1 : 0;
      part.lines.get(line[at]).add(sums, node, counts[node]);
      part.sum.add(sums, node, openParts[of]++ === 0);
      pending.push(~node);
    } else if (node !== ROOT && inside[above] && counts[above] && code.isFunction[frame[node]]) {
      const caller = place[above];
      const calls = parts.get(partOf[caller]).calls;
      if (!calls.has(line[caller])) calls.set(line[caller], new Map());
      const called = calls.get(line[caller]);
      const callee = code.symbol[frame[node]];
      called.set(callee, (called.get(callee) ?? 0) + sums.total[node]);
    }
    for (let i = tree.start[node]; i < tree.start[node + 1]; i++) pending.push(tree.children[i]);
  }
  return [...parts.values()].sort((a, b) => a.inlined - b.inlined || b.sum.total - a.sum.total);
}
