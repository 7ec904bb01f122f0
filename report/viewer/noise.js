// How much two parts of a trace vary by chance, and which of their changes are more than
// that, as report/src/diff/noise and verdicts.rs have it of one run on each side.

const LEAST_EFFECT = 0.005; // The smallest change of interest, as a share of all before.
const SLICES = 64;
const SLICES_TOGETHER = [1, 2, 4, 8]; // What shows most is taken.
const MOST_DEGREES = SLICES / 2 - 1;
const LEAST_DEGREES = 4; // Where bursts are few.
const MANY_THREADS = 32; // From so many that are alike, their differences are chance.

// What is tested: all, nodes of the tree, and functions by self and by total. Of the others
// there is so little that no change could be of interest.
class Tested {
  constructor(sides, least) {
    this.families = [[], [], [], []];
    this.count = 0;
    const add = (family, what, before, after, samples) => {
      this.families[family].push({ item: this.count, what, before, after, samples });
      return this.count++;
    };
    const [one, other] = sides;
    const { size } = one.tree;
    this.ofNode = new Int32Array(size).fill(-1);
    for (let node = 0; node < size; node++) {
      const [before, after] = [one.total[node], other.total[node]];
      if (node === ROOT || before + after >= least) {
        this.ofNode[node] = add(node === ROOT ? 0 : 1, node, before, after, [one.totalSamples[node], other.totalSamples[node]]);
      }
    }
    const functions = sides.map((side) => side.bySymbol);
    const ofFunctions = (family, which) => {
      const [before, after] = functions.map((side) => side[which]);
      const items = new Int32Array(code.names.length).fill(-1);
      for (let symbol = 0; symbol < items.length; symbol++) {
        const both = before[symbol] + after[symbol];
        if (both > 0 && both >= least) items[symbol] = add(family, symbol, before[symbol], after[symbol], functions.map((side) => side[`${which}Samples`][symbol]));
      }
      return items;
    };
    this.groups = this.group(one.tree, ofFunctions(2, 'own'), ofFunctions(3, 'total'));
  }

  // What ends in these nodes belongs to the same items: numbers of such groups by node. Each
  // group has one item (`last`) besides those of another, which has a smaller number (`above`);
  // the first one has none.
  group({ parent, frame, outermost, size }, ofOwn, ofTotal) {
    const [above, last] = [[-1], [-1]];
    const known = new Map();
    const and = (group, item) => {
      if (item < 0) return group;
      const key = group * this.count + item;
      if (!known.has(key)) {
        known.set(key, above.length);
        above.push(group);
        last.push(item);
      }
      return known.get(key);
    };
    const [below, ends] = [new Uint32Array(size), new Uint32Array(size)];
    for (let node = 0; node < size; node++) {
      const symbol = code.isFunction[frame[node]] ? code.symbol[frame[node]] : -1;
      const total = symbol >= 0 && outermost[node] ? ofTotal[symbol] : -1;
      below[node] = and(and(node === ROOT ? 0 : below[parent[node]], this.ofNode[node]), total);
      ends[node] = and(below[node], symbol >= 0 ? ofOwn[symbol] : -1);
    }
    return { ends, above, last };
  }
}

// Of each item its weight in a part, the variance that the error of sampling alone gives,
// and what is beyond that; these are of rates, times the exposure.
function noiseOf(part, exposure, { count, groups: { ends, above, last } }, nodes) {
  const of = (size = count) => new Float64Array(size);
  const noise = { exposure, weight: of(), chance: of(), excess: of(), degrees: 0, samples: 0, isTimed: false };
  const ticks = Math.max(Math.floor(lengthOf(part) / SLICES), 1) / head.tick_ns;
  const begin = part.from ?? 0;
  // By group, and what is added to each of its items.
  const [squaresOf, slicesOf, threadOf] = [of(last.length), of(last.length * SLICES), of(last.length)];
  const [slices, ofThread, threadSquares, threadWeights] = [of(count * SLICES), of(), of(), []];
  let first = null; // What is imported from a format without times has one for all.
  for (const runs of runsOf(part).values()) {
    const touched = []; // Groups that the thread has something of.
    let all = 0;
    for (const [rows, run] of runs) {
      const { time, node, duration, weight: weights, samples: counts } = rows;
      const [start, end] = rowsWithin(rows, run, part);
      for (let row = start; row < end; row++) {
        const weight = duration ? weightWithin(rows, row, part) : weights[row];
        const into = nodes[node[row]];
        if (weight < 0 || into < 0) continue;
        const samples = counts ? counts[row] : 1;
        const slice = time ? Math.min(Math.floor((Math.max(time[row], begin) - begin) / ticks), SLICES - 1) : 0;
        const group = ends[into];
        if (time) {
          first ??= time[row];
          if (time[row] !== first) noise.isTimed = true;
        }
        noise.samples += samples;
        all += weight;
        squaresOf[group] += (weight * weight) / samples;
        slicesOf[group * SLICES + slice] += weight;
        if (threadOf[group] === 0) touched.push(group);
        threadOf[group] += weight;
      }
    }
    if (all > 0) threadWeights.push(all);
    const touchedItems = [];
    for (const group of touched) {
      for (let at = group; at > 0; at = above[at]) {
        if (ofThread[last[at]] === 0) touchedItems.push(last[at]);
        ofThread[last[at]] += threadOf[group];
      }
      threadOf[group] = 0;
    }
    for (const item of touchedItems) {
      threadSquares[item] += ofThread[item] ** 2;
      ofThread[item] = 0;
    }
  }
  for (let group = last.length - 1; group > 0; group--) {
    const [item, up] = [last[group], above[group]];
    noise.chance[item] += squaresOf[group] / exposure;
    squaresOf[up] += squaresOf[group];
    for (let slice = 0; slice < SLICES; slice++) {
      const weight = slicesOf[group * SLICES + slice];
      noise.weight[item] += weight;
      slices[item * SLICES + slice] += weight;
      slicesOf[up * SLICES + slice] += weight;
    }
  }
  // Squares are of that many units, each of an equal part of the exposure.
  const variance = (item, squares, units) => Math.max((squares * units - noise.weight[item] ** 2) / exposure, 0) / (units - 1);
  const take = (item, variance) => {
    noise.excess[item] = Math.max(noise.excess[item], variance - noise.chance[item]);
  };
  noise.isTimed ||= noise.samples === 1 && series().timed;
  if (noise.isTimed) {
    noise.degrees = MOST_DEGREES;
    for (let item = 0; item < count; item++) {
      let shorter = null;
      for (const together of SLICES_TOGETHER) {
        let squares = 0;
        for (let at = item * SLICES; at < (item + 1) * SLICES; at += together) {
          let sum = 0;
          for (let slice = at; slice < at + together; slice++) sum += slices[slice];
          squares += sum ** 2;
        }
        const longer = variance(item, squares, SLICES / together);
        take(item, longer);
        // What twice the length adds is taken to be missing once more (Vats and Flegal 2022).
        if (shorter !== null) take(item, 2 * longer - shorter);
        shorter = longer;
      }
    }
  }
  const sum = threadWeights.reduce((sum, weight) => sum + weight, 0);
  const squares = threadWeights.reduce((sum, weight) => sum + weight * weight, 0);
  if (squares > 0 && (sum * sum) / squares >= MANY_THREADS) {
    noise.degrees = Math.max(noise.degrees, Math.min(threadWeights.length - 1, MOST_DEGREES));
    threadSquares.forEach((squares, item) => take(item, variance(item, squares, threadWeights.length)));
  }
  return noise;
}

// Both rates of an item, and the degrees of freedom of how they vary. What is beyond chance
// is the same on both sides.
function ratesOf(noises, item) {
  const weights = noises.map((noise) => noise.weight[item]);
  const present = [0, 1].filter((side) => weights[side] > 0);
  const sum = (sides, of) => sides.reduce((sum, side) => sum + of(side), 0);
  const varying = present.filter((side) => noises[side].degrees > 0);
  const excess = varying.length ? sum(varying, (side) => noises[side].excess[item] * noises[side].exposure) / sum(varying, (side) => weights[side]) : 0;
  const found = [0, 0];
  for (const side of present) found[side] = (noises[side].chance[item] * noises[side].exposure) / weights[side] + excess;
  const count = sum(present, (side) => weights[side] / found[side]);
  const free = sum(varying, (side) => noises[side].degrees);
  const degrees = free > 0 ? Math.min(free, Math.max(2 * count, LEAST_DEGREES)) : Infinity;
  // Where there is nothing, it varies as on the other side, and at least as a sample does.
  const single = noises.map(({ weight, samples }) => (weight[0] > 0 ? weight[0] / samples : null));
  const dispersion = (side) => (weights[side] > 0 ? found[side] : Math.max(single[side] ?? single[1 - side] ?? 1, found[1 - side]));
  return [noises.map(({ exposure }, side) => new Rate(weights[side], exposure, dispersion(side))), degrees];
}

// What can be said of the changes of `sides`, which are in the unit that has so many of a
// rate: of all, of nodes, and of functions.
function judge(parts, sides, exposures, multiplier, filters) {
  const least = LEAST_EFFECT * (sides[0].all || sides[1].all);
  const tested = new Tested(sides, least);
  const nodes = nodesLeft(filters);
  const noises = parts.map((part, side) => noiseOf(part, exposures[side], tested, nodes));
  const [all, ofNodes, own, total] = tested.families.map((family) => {
    const judged = family.map((one) => {
      const [rates, degrees] = ratesOf(noises, one.item);
      return { ...one, rates, degrees, p: probabilityOf(rates, degrees) };
    });
    const threshold = discoveryThreshold(judged.map(({ p }) => p));
    return new Map(judged.map(({ what, before, after, samples, rates, degrees, p }) => {
      const interval = before + after > 0 ? intervalOf(rates, degrees).map((limit) => limit * multiplier) : null;
      const isChange = interval && p <= threshold && Math.abs(after - before) >= least && (interval[0] > 0 || interval[1] < 0);
      const verdict = !isChange ? 0 : samples[0] === 0 ? 3 : samples[1] === 0 ? 4 : after > before ? 1 : 2;
      return [what, { interval, verdict }];
    }));
  });
  const verdicts = new Uint8Array(sides[0].tree.size);
  for (const [node, { verdict }] of [...all, ...ofNodes]) verdicts[node] = verdict;
  return { all: all.get(ROOT), verdicts, self: own, total, isTimed: noises.map((noise) => noise.isTimed) };
}
