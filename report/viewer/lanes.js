// What the timeline shows above its threads: what was lost when, and memory over time.

// A lane: its name, how it is drawn, and what is known of a moment. `scale` is in pixels
// for each tick.
function lanes() {
  const over = exact.heap?.data.over_time;
  return [
    head.losses.length ? lossLane() : null,
    callLane(),
    over?.live_bytes.some((value) => value > 0) ? counterLane('Live heap', over, over.live_bytes, REASON_COLORS[2], bytes) : null,
    over?.allocations.some((value) => value > 0) ? counterLane('Allocations', over, over.allocations.map((value) => (value * 1e9) / over.column_ns), REASON_COLORS[3], (value) => `${count(value)}/s`) : null,
  ].filter(Boolean);
}

// Losses of what is shown: those of the CPU's samples, of waits, and so on, together.
function lossLane() {
  return {
    title: 'Lost or throttled',
    draw(draw, left, y, width, from, until) {
      const scale = width / (until - from);
      draw.fillStyle = styleOf('--bad');
      for (const loss of head.losses) {
        if (loss.until <= from || loss.from >= until) continue;
        const [a, b] = pixelsOf((loss.from - from) * scale, (loss.until - from) * scale, 0, width);
        draw.fillRect(left + a, y + 3, Math.max(b - a, 1), TRACK - 7);
      }
    },
    at(tick, scale) {
      const near = 3 / scale;
      const found = head.losses.filter((loss) => loss.from <= tick + near && loss.until >= tick - near);
      const more = found.length > 5 ? [`and ${count(found.length - 5)} more`] : [];
      return [...found.slice(0, 5).map(lossText), ...more];
    },
  };
}

function lossText({ from, until, what, count: n, reason }) {
  return `${n ? count(n) : 'an unknown number of'} ${what}: ${reason}, ${rangeText(from, until)}`;
}

// How long system calls took: of each pixel the longest one, on a logarithmic scale. Calls
// that are added up in slices of time have no times of their own.
function callLane() {
  const one = callSeries();
  const isSingle = (rows, row) => !rows.samples || rows.samples[row] === 1;
  function* runs(from, until) {
    for (const rows of partsOf(one, from, until)) {
      if (!rows.duration) continue;
      const weight = weightsLeft(rows);
      for (const run of rows.runs) if (!selection.threads || selection.threads.has(run.thread)) yield { rows, weight, ...run };
    }
  }
  if (!one) return null;
  let longest = 0;
  for (const { rows, weight, start, end } of runs(null)) {
    for (let row = start; row < end; row++) if (weight[row] > 0 && isSingle(rows, row)) longest = Math.max(longest, rows.duration[row]);
  }
  if (!longest) return null;
  let [key, bins] = ['', null];
  const binsOf = (from, until, width) => {
    const asked = [from, until, width, closeUps.get(one.rows[0][0])?.length].join();
    if (key === asked) return bins;
    [key, bins] = [asked, new Float64Array(Math.max(1, Math.floor(width)))];
    const scale = bins.length / (until - from);
    for (const { rows, weight, start, end } of runs(from, until)) {
      const { time, duration: lasts } = rows;
      for (let row = start; row < end && time[row] < until; row++) {
        if (time[row] + lasts[row] < from || weight[row] === 0 || !isSingle(rows, row)) continue;
        const bin = Math.max(0, Math.floor((time[row] - from) * scale));
        bins[bin] = Math.max(bins[bin], lasts[row]);
      }
    }
    return bins;
  };
  return {
    title: `Calls ≤ ${duration(longest * head.tick_ns)}`,
    draw(draw, left, y, width, from, until) {
      draw.fillStyle = REASON_COLORS[4];
      const full = Math.log(longest + 1);
      binsOf(from, until, width).forEach((took, x) => {
        const tall = took > 0 ? Math.max(2, (Math.log(took + 1) / full) * (TRACK - 4)) : 0;
        if (tall > 0) draw.fillRect(left + x, y + TRACK - 2 - tall, 1, tall);
      });
    },
    at(tick, scale) {
      const near = 3 / scale;
      let best = null;
      for (const { rows, weight, start, end, thread } of runs(Math.floor(tick - near), Math.ceil(tick + near))) {
        const { time, duration: lasts } = rows;
        for (let row = firstAfter(time, start, end, tick - near); row < end && time[row] <= tick + near; row++) {
          if (weight[row] > 0 && isSingle(rows, row) && !(best?.took >= lasts[row])) best = { took: lasts[row], at: time[row], node: rows.node[row], thread };
        }
      }
      return best ? [`${reasonOf(best.node)}: ${duration(best.took * head.tick_ns)} at ${moment(best.at * head.tick_ns, 1e5)}, ${threadText(best.thread)}`] : [];
    },
  };
}

const callSeries = () => head.series.find((one) => one.kind === 'syscalls' && one.timed) ?? null;

// Values of columns of time, the first of which begins with the page's time.
function counterLane(name, { column_ns: length }, values, color, text) {
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  const column = length / head.tick_ns;
  return {
    title: `${name} ≤ ${text(most)}`,
    draw(draw, left, y, width, from, until) {
      const scale = width / (until - from);
      draw.fillStyle = color;
      const last = Math.min(values.length, Math.ceil(until / column));
      for (let i = Math.max(0, Math.floor(from / column)); i < last; i++) {
        // Whole pixels: between parts of them, what is behind would shine through.
        const a = Math.round(Math.max((i * column - from) * scale, 0));
        const b = Math.max(Math.round(Math.min(((i + 1) * column - from) * scale, width)), a + 1);
        const tall = (values[i] / most) * (TRACK - 3);
        if (tall > 0) draw.fillRect(left + a, y + TRACK - 2 - tall, b - a, tall);
      }
    },
    at(tick) {
      const value = values[Math.floor(tick / column)];
      return value === undefined ? [] : [`${name}: ${text(value)}`];
    },
  };
}
