'use strict';
// Sections of the page: unpacked when they are first needed.

const unpacked = new Map();

async function unpack(name) {
  if (!unpacked.has(name)) unpacked.set(name, unpackNow(name));
  return unpacked.get(name);
}

// Whether there is such a section, in the page or at its server.
const hasSection = (name) => Boolean(document.getElementById(name) ?? head?.served?.includes(name));

async function unpackNow(name) {
  const element = document.getElementById(name);
  if (!element && hasSection(name)) return ask(name);
  if (!element) throw new Error(`the page has no section “${name}”`);
  const text = element.textContent;
  const packed = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text)
    : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  element.textContent = '';
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Error(`the page’s section “${name}” is damaged`);
  }
}

// A section that the server has which the page comes from.
async function ask(name) {
  let answer;
  try {
    answer = await fetch(name);
  } catch {
    throw new Error('report --serve, which this page comes from, does not answer: start it again, and open the address that it prints');
  }
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return new Uint8Array(await answer.arrayBuffer());
}

async function unpackJson(name) {
  return JSON.parse(new TextDecoder().decode(await unpack(name)));
}

const unpackColumns = async (name) => columnsOf(await unpack(name));

// Columns of a section, as bytes.
function columnsOf(bytes) {
  const view = new DataView(bytes.buffer);
  const columns = [];
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at, true);
    columns.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return columns;
}

// Reads variable-length integers into `out`. What is above 2^53 is rounded.
function readNumbers(bytes, out) {
  let at = 0;
  for (let i = 0; i < out.length; i++) {
    let byte = bytes[at++];
    let number = byte & 0x7f;
    for (let scale = 128; byte & 0x80; scale *= 128) {
      byte = bytes[at++];
      number += (byte & 0x7f) * scale;
    }
    out[i] = number;
  }
  return out;
}

function signed(number) {
  return number % 2 ? -(number + 1) / 2 : number / 2;
}

// Nodes in which rows end.
let ends = null;
async function readEnds() {
  if (!ends) {
    const [bytes] = await unpackColumns('ends');
    let size = 0;
    for (const byte of bytes) size += byte < 128;
    ends = readNumbers(bytes, new Uint32Array(size));
  }
  return ends;
}

// Rows of columns, each thread's together and in order of time.
// Where they end are numbers of `ends`, in two columns: the low byte, and the rest. So are
// weights, above the least one, which comes first.
async function readRows(columns) {
  const ends = await readEnds();
  const [threads, lengths, times, lows, highs, weightLows, weights, durations, counts] = columns;
  let threadCount = 0;
  for (const byte of lengths) threadCount += byte < 128;
  const threadSteps = readNumbers(threads, new Float64Array(threadCount));
  const rowsOf = readNumbers(lengths, new Float64Array(threadCount));
  const count = rowsOf.reduce((sum, rows) => sum + rows, 0);
  const column = (bytes, Type) => (bytes.length ? readNumbers(bytes, new Type(count)) : null);
  const end = readNumbers(highs, new Uint32Array(count));
  for (let row = 0; row < count; row++) end[row] = end[row] * 256 + lows[row];
  const [least] = readNumbers(weights, new Float64Array(1));
  const weight = readNumbers(weights, new Float64Array(count + 1)).subarray(1);
  for (let row = 0; row < count; row++) weight[row] = least + weight[row] * 256 + weightLows[row];
  const rows = {
    count,
    runs: [],
    time: column(times, Float64Array),
    end,
    node: end.map((number) => ends[number]),
    weight,
    duration: column(durations, Float64Array),
    samples: column(counts, Float64Array),
  };
  let thread = 0;
  let row = 0;
  for (let i = 0; i < threadCount; i++) {
    thread += threadSteps[i];
    const end = row + rowsOf[i];
    rows.runs.push({ thread, start: row, end });
    let now = 0;
    for (; rows.time && row < end; row++) {
      now += signed(rows.time[row]);
      rows.time[row] = now;
    }
    row = end;
  }
  return rows;
}
