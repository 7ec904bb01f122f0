// Of which thread what is selected is most.

// The thread that has most of a box: of each of its nodes, the one that has most of that.
function threadMost(box) {
  const most = threadsOf(box.sums)[box.which];
  const weights = new Map();
  let best = most.thread[box.nodes[0]];
  for (const node of box.nodes) {
    const thread = most.thread[node];
    weights.set(thread, (weights.get(thread) ?? 0) + most.weight[node]);
    if (weights.get(thread) > weights.get(best)) best = thread;
  }
  return best;
}

// By node of a tree, the thread with most of its own weight and of its total, and how much.
function threadsOf(sums) {
  sums.threads ??= threadsNow(sums.tree);
  return sums.threads;
}

function threadsNow(tree) {
  const { from, until, threads, filters } = selection;
  const nodes = nodesLeft(filters);
  const most = () => ({ thread: new Uint32Array(tree.size), weight: new Float64Array(tree.size) });
  const [own, total] = [most(), most()];
  const runs = new Map();
  for (const rows of partsOf(series(), from, until)) {
    for (const run of rows.runs) {
      if (threads && !threads.has(run.thread)) continue;
      if (!runs.has(run.thread)) runs.set(run.thread, []);
      runs.get(run.thread).push([rows, run]);
    }
  }
  // Of one thread at a time, those nodes that it has anything of.
  const [whole, unused, sum] = [new Float64Array(nodes.length), new Float64Array(nodes.length), new Float64Array(tree.size)];
  for (const [thread, all] of runs) {
    const touched = new Set();
    for (const [rows, run] of all) {
      addRun(rows, run, from, until, whole, unused, 'node');
      for (let row = run.start; row < run.end; row++) {
        const node = rows.node[row];
        const into = nodes[node];
        if (whole[node] > 0 && into >= 0) {
          sum[into] += whole[node];
          touched.add(into);
        }
        whole[node] = 0;
      }
    }
    const keep = (best, node) => {
      if (sum[node] <= best.weight[node]) return;
      [best.weight[node], best.thread[node]] = [sum[node], thread];
    };
    for (const node of touched) keep(own, node);
    for (let node of [...touched]) for (; node !== ROOT && !touched.has(tree.parent[node]); node = tree.parent[node]) touched.add(tree.parent[node]);
    // Parents have smaller numbers.
    for (const node of Uint32Array.from(touched).sort().reverse()) {
      keep(total, node);
      if (node !== ROOT) sum[tree.parent[node]] += sum[node];
      sum[node] = 0;
    }
  }
  return { own, total };
}
