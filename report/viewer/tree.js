// The call tree of all events, what a stack of filters makes of it, and sums over it.
// A node's parent always has a smaller number; node 0 is the root.

const ROOT = 0;
const NOT_FUNCTIONS = new Set(['all', 'recording', 'process', 'truncated']);

// Names, frames and the whole tree of the page.
const code = { names: [], modules: [], symbol: null, kind: [], runtime: [], frames: 0, tree: null };

async function readCode(nodes) {
  const [texts, columns] = await Promise.all([unpackJson('names'), unpackColumns('stacks')]);
  code.names = texts.names;
  code.modules = texts.modules;
  code.kind = texts.kinds;
  code.runtime = texts.runtimes;
  code.frames = texts.kinds.length;
  let symbol = 0;
  code.symbol = Uint32Array.from(texts.steps, (step) => (symbol += step));
  code.isFunction = Uint8Array.from(code.kind, (kind) => !NOT_FUNCTIONS.has(kind));
  code.moduleNames = [...new Set(code.modules)];
  const numbers = new Map(code.moduleNames.map((name, number) => [name, number]));
  code.moduleNumber = code.modules.map((name) => numbers.get(name));
  const parent = readNumbers(columns[0], new Uint32Array(nodes));
  for (let node = 0; node < nodes; node++) parent[node] = node - parent[node];
  const frame = readNumbers(columns[1], new Uint32Array(nodes));
  let next = 0; // The first one that no node before has.
  for (let node = 0; node < nodes; node++) {
    frame[node] = next - frame[node];
    next = Math.max(next, frame[node] + 1);
  }
  code.tree = new Tree(parent, frame);
}

const nameOf = (frame) => code.names[code.symbol[frame]];
const moduleOf = (frame) => code.modules[code.symbol[frame]];

// The name, with a mark if it is not an ordinary function of the process.
function labelOf(frame) {
  const name = nameOf(frame);
  const runtime = code.runtime[frame];
  if (runtime) {
    const what = [runtime.name, runtime.tier !== 'interpreted' && runtime.tier,
      runtime.inlined && 'inlined', runtime.approximate && 'approximate'].filter(Boolean).join(', ');
    return what ? `${name} [${what}]` : name;
  }
  const kind = code.kind[frame];
  return ['kernel', 'jit', 'inlined'].includes(kind) ? `${name} [${kind}]`
    : ['process', 'recording'].includes(kind) ? `${name} (${kind})` : name;
}

class Tree {
  // Of nodes that are lines, `place` says which.
  constructor(parent, frame, place = null) {
    this.parent = parent;
    this.frame = frame;
    this.place = place;
    this.size = parent.length;
    const start = new Uint32Array(this.size + 1);
    for (let node = 1; node < this.size; node++) start[parent[node] + 1]++;
    for (let node = 0; node < this.size; node++) start[node + 1] += start[node];
    const next = start.slice();
    this.children = new Uint32Array(Math.max(this.size - 1, 0));
    for (let node = 1; node < this.size; node++) this.children[next[parent[node]]++] = node;
    this.start = start;
  }

  // How many frames are from the root to each node.
  get depths() {
    if (!this.depth) {
      this.depth = new Uint32Array(this.size);
      for (let node = 1; node < this.size; node++) this.depth[node] = this.depth[this.parent[node]] + 1;
    }
    return this.depth;
  }

  // Nodes with no other one of the same function above them.
  get outermost() {
    if (this.outer) return this.outer;
    const outer = new Uint8Array(this.size);
    const open = new Uint32Array(code.names.length);
    const pending = [ROOT];
    while (pending.length) {
      const step = pending.pop();
      const node = step < 0 ? ~step : step;
      const symbol = code.symbol[this.frame[node]];
      if (step < 0) {
        open[symbol]--;
        continue;
      }
      if (code.isFunction[this.frame[node]]) {
        outer[node] = open[symbol]++ === 0 ? 1 : 0;
        pending.push(~node);
      }
      for (let i = this.start[node]; i < this.start[node + 1]; i++) pending.push(this.children[i]);
    }
    this.outer = outer;
    return outer;
  }
}

// What can be done to stacks. Each says of a node what becomes of it: a node of the new
// tree, and where its own samples go (-1: they are not selected).
const FILTERS = {
  focus: 'only below', keep: 'only with', drop: 'without', merge: 'merged into callers:',
  collapse: 'closed:', recursion: 'recursion closed', module: 'only module', runtime: 'only runtimes',
  nokernel: 'without kernel',
};

function filterText({ op, arg }) {
  const name = arg === null ? '' : op === 'module' ? code.moduleNames[arg] : code.names[arg];
  return `${FILTERS[op]} ${name}`.trim();
}

function filtered(tree, { op, arg }) {
  const { parent, frame, place, size } = tree;
  const target = new Int32Array(size);
  const own = new Int32Array(size);
  const inside = new Uint8Array(size);
  const parents = [0];
  const frames = [frame[ROOT]];
  const places = [place?.[ROOT]];
  const known = new Map();
  const [kinds, kindOf] = place ? [lines.place.size, place] : [code.frames, frame];
  const child = (above, like) => {
    const key = above * kinds + kindOf[like];
    let node = known.get(key);
    if (node === undefined) {
      node = parents.length;
      parents.push(above);
      frames.push(frame[like]);
      places.push(place?.[like]);
      known.set(key, node);
    }
    return node;
  };
  const isIt = (f) => code.isFunction[f] === 1 && code.symbol[f] === arg;
  if (op === 'focus' || op === 'keep') own[ROOT] = -1;
  for (let node = 1; node < size; node++) {
    const f = frame[node];
    const above = parent[node];
    const was = inside[above];
    const kept = code.isFunction[f] === 0 && code.kind[f] !== 'truncated';
    inside[node] = was || isIt(f) ? 1 : 0;
    let into;
    switch (op) {
      case 'focus':
        into = was ? child(target[above], node) : inside[node] ? child(ROOT, node) : ROOT;
        break;
      case 'merge': into = isIt(f) ? target[above] : child(target[above], node); break;
      case 'collapse': into = was ? target[above] : child(target[above], node); break;
      case 'recursion':
        into = code.symbol[frames[target[above]]] === code.symbol[f] && target[above] !== ROOT
          ? target[above] : child(target[above], node);
        break;
      case 'module':
        into = kept || code.moduleNumber[code.symbol[f]] === arg ? child(target[above], node) : target[above];
        break;
      case 'runtime': into = kept || code.runtime[f] ? child(target[above], node) : target[above]; break;
      case 'kind': into = code.kind[f] === arg ? target[above] : child(target[above], node); break;
      case 'nokernel': into = code.kind[f] === 'kernel' ? target[above] : child(target[above], node); break;
      default: into = child(target[above], node);
    }
    target[node] = into;
    const selected = op === 'focus' || op === 'keep' ? inside[node] : op === 'drop' ? !inside[node] : true;
    own[node] = selected ? into : -1;
  }
  return { tree: new Tree(Uint32Array.from(parents), Uint32Array.from(frames), place && Uint32Array.from(places)), own };
}

// The tree that all filters leave of one, and what each makes of the one before.
function filteredTree(filters, whole = code.tree) {
  const key = JSON.stringify(filters);
  if (whole.filtered?.key !== key) {
    const steps = [];
    let tree = whole;
    for (const filter of filters) {
      const step = filtered(tree, filter);
      steps.push(step.own);
      tree = step.tree;
    }
    whole.filtered = { key, steps, tree };
  }
  return whole.filtered;
}

// Which node of the tree that is left each node of the whole one becomes (-1: its samples
// are not selected).
function nodesLeft(filters) {
  const left = filteredTree(filters);
  left.nodes ??= left.steps.reduce((into, step) => into.map((node) => (node < 0 ? node : step[node])), Int32Array.from(code.tree.parent.keys()));
  return left.nodes;
}

// Sums of a whole tree, as those of the tree that is left of it.
function passedOn(steps, tree, own, samples) {
  steps.forEach((step, i) => {
    const size = i + 1 < steps.length ? steps[i + 1].length : tree.size;
    const [newOwn, newSamples] = [new Float64Array(size), new Float64Array(size)];
    for (let node = 0; node < step.length; node++) {
      if (step[node] >= 0) {
        newOwn[step[node]] += own[node];
        newSamples[step[node]] += samples[node];
      }
    }
    [own, samples] = [newOwn, newSamples];
  });
  return [own, samples];
}

// Own and total weights of nodes.
class Sums {
  constructor(tree, own, samples) {
    this.tree = tree;
    this.own = own;
    this.samples = samples;
    this.total = own.slice();
    this.totalSamples = samples.slice();
    for (let node = tree.size - 1; node > 0; node--) {
      this.total[tree.parent[node]] += this.total[node];
      this.totalSamples[tree.parent[node]] += this.totalSamples[node];
    }
    this.all = this.total[ROOT];
    this.allSamples = this.totalSamples[ROOT];
  }

  // Functions that have samples, and by symbol a frame, own and total weights and samples.
  get bySymbol() {
    if (this.known) return this.known;
    const { frame, size, outermost } = this.tree;
    const of = () => new Float64Array(code.names.length);
    const known = { symbols: [], frame: new Uint32Array(code.names.length), own: of(), total: of(), ownSamples: of(), totalSamples: of() };
    for (let node = 1; node < size; node++) {
      if (this.totalSamples[node] === 0 || !code.isFunction[frame[node]]) continue;
      const symbol = code.symbol[frame[node]];
      // The first node of a function is an outermost one.
      if (known.totalSamples[symbol] === 0) {
        known.symbols.push(symbol);
        known.frame[symbol] = frame[node];
      }
      known.own[symbol] += this.own[node];
      known.ownSamples[symbol] += this.samples[node];
      if (outermost[node]) {
        known.total[symbol] += this.total[node];
        known.totalSamples[symbol] += this.totalSamples[node];
      }
    }
    this.known = known;
    return known;
  }

  get functions() {
    const { symbols, frame, own, total, ownSamples, totalSamples } = this.bySymbol;
    this.rows ??= symbols.map((symbol) => ({
      symbol, frame: frame[symbol], own: own[symbol], total: total[symbol], ownSamples: ownSamples[symbol], totalSamples: totalSamples[symbol],
    }));
    return this.rows;
  }

  // Weight of all stacks that have a frame for which `matches` is set.
  found(matches) {
    const { parent, frame, size } = this.tree;
    const hit = new Uint8Array(size);
    let sum = 0;
    for (let node = 1; node < size; node++) {
      hit[node] = matches[frame[node]] | hit[parent[node]];
      if (hit[node]) sum += this.own[node];
    }
    return sum;
  }

  // The outermost nodes of a function that have samples.
  nodesOf(symbol) {
    const { frame, size, outermost } = this.tree;
    const nodes = [];
    for (let node = 1; node < size; node++) {
      if (outermost[node] && code.symbol[frame[node]] === symbol && this.totalSamples[node] > 0) nodes.push(node);
    }
    return nodes;
  }
}

// A box of a graph: nodes with the same frame and the same boxes above them, of which it
// stands for the `own` or the `total` weights.
class Box {
  constructor(above, frame, sums, nodes, which) {
    Object.assign(this, { above, frame, sums, nodes, which, own: 0, kids: null });
    this.total = this.of(sums[which]);
    this.samples = this.of(which === 'own' ? sums.samples : sums.totalSamples);
  }

  of(values) {
    return this.nodes.reduce((sum, node) => sum + values[node], 0);
  }

  // Boxes below, the largest first; made when they are asked for.
  get below() {
    if (!this.kids) {
      this.kids = this.make();
      this.kids.sort((a, b) => b.total - a.total || (nameOf(a.frame) < nameOf(b.frame) ? -1 : 1));
      this.own = this.total - this.kids.reduce((sum, kid) => sum + kid.total, 0);
    }
    return this.kids;
  }

  get path() {
    const path = [];
    for (let box = this; box.above; box = box.above) path.unshift(box.frame);
    return path;
  }
}

// Callers above what they called.
class CalleeBox extends Box {
  constructor(above, frame, sums, nodes) {
    super(above, frame, sums, nodes, 'total');
  }

  make() {
    const { tree, total } = this.sums;
    if (this.nodes.length === 1) {
      // Callees of one node have a frame each.
      const kids = [];
      for (let i = tree.start[this.nodes[0]]; i < tree.start[this.nodes[0] + 1]; i++) {
        const kid = tree.children[i];
        if (total[kid] > 0) kids.push(new CalleeBox(this, tree.frame[kid], this.sums, [kid]));
      }
      return kids;
    }
    const groups = new Map();
    for (const node of this.nodes) {
      for (let i = tree.start[node]; i < tree.start[node + 1]; i++) {
        const kid = tree.children[i];
        if (total[kid] <= 0) continue;
        const group = groups.get(tree.frame[kid]);
        if (group) group.push(kid);
        else groups.set(tree.frame[kid], [kid]);
      }
    }
    return Array.from(groups, ([frame, nodes]) => new CalleeBox(this, frame, this.sums, nodes));
  }
}

// Functions above their callers. Each of its nodes has come up to a caller, `at`.
class CallerBox extends Box {
  constructor(above, frame, sums, nodes, which, at) {
    super(above, frame, sums, nodes, which);
    this.at = at;
  }

  make() {
    const { parent, frame } = this.sums.tree;
    const groups = new Map();
    this.at.forEach((node, i) => {
      const caller = this.above ? parent[node] : node;
      if (caller === ROOT || code.kind[frame[caller]] === 'process' || code.kind[frame[caller]] === 'recording') return;
      let group = groups.get(frame[caller]);
      if (!group) groups.set(frame[caller], (group = [[], []]));
      group[0].push(this.nodes[i]);
      group[1].push(caller);
    });
    return Array.from(groups, ([f, [nodes, at]]) => new CallerBox(this, f, this.sums, nodes, this.which, at));
  }
}

function topDown(sums) {
  return new CalleeBox(null, sums.tree.frame[ROOT], sums, [ROOT]);
}

function inverted(sums) {
  const nodes = [];
  for (let node = 1; node < sums.tree.size; node++) if (sums.own[node] > 0) nodes.push(node);
  return new CallerBox(null, sums.tree.frame[ROOT], sums, nodes, 'own', nodes);
}

// What a function called, and who called it.
function calleesOf(sums, symbol) {
  const nodes = sums.nodesOf(symbol);
  const root = new CalleeBox(null, sums.tree.frame[ROOT], sums, nodes);
  root.kids = [new CalleeBox(root, nodes.length ? sums.tree.frame[nodes[0]] : 0, sums, nodes)];
  return root;
}

function callersOf(sums, symbol) {
  const nodes = sums.nodesOf(symbol);
  return new CallerBox(null, sums.tree.frame[ROOT], sums, nodes, 'total', nodes);
}
