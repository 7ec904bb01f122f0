// What the timeline shows above its threads: what was lost when, and memory over time.

// A lane: its name, how it is drawn, and what is known of a moment. `scale` is in pixels
// for each tick.
function lanes() {
  const over = exact.heap?.data.over_time;
  return [
    head.losses.length ? lossLane() : null,
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
