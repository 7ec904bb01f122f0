// CPU-bound JavaScript with known shares of functions, and of the lines that call them.
//
//     (anonymous) > run > hot   70 %
//                       > warm  20 %
//                       > cold  10 %
//                 > young > long   70 %
//                         > short  30 %
//                 > inlined > together > often   70 %
//                                      > seldom  20 %
//                                      > Sum.rarely  10 %
//
//                 > replaced
//
// split.js WHAT, where WHAT is run, workers (two threads that do the same), young,
// inlined or replaced
//
// But for the last ones, each is called by a native function, so that it stays a function of its own however
// well the code is compiled, and seldom, so that its caller is not compiled at all.
'use strict';

const ROUND = 1e6;

function hot() {
  let x = 0;
  for (let i = 0; i < 7 * ROUND; i++) x = (x * 31 + i) ^ (x >>> 3);
  return x;
}

const warm = () => {
  let x = 0;
  for (let i = 0; i < 2 * ROUND; i++) x = (x * 31 + i) ^ (x >>> 3);
  return x;
};

class Other {
  static cold() {
    let x = 0;
    for (let i = 0; i < 1 * ROUND; i++) x = (x * 31 + i) ^ (x >>> 3);
    return x;
  }
}

function run() {
  // Whoever asks for a stack makes V8 find out where in it the lines are.
  if (new Error().stack.length === 0) return;
  for (;;) {
    JSON.parse('1', hot);
    JSON.parse('1', warm);
    JSON.parse('1', Other.cold);
  }
}

function workers() {
  const { Worker } = require('node:worker_threads');
  for (let i = 0; i < 2; i++) new Worker(__filename, { argv: ['run'] });
}

// Functions that are made for one call, and moved, or gone, soon after it.
function young() {
  for (;;) {
    JSON.parse('1', function long() {
      let list = [0];
      for (let i = 0; i < 70000; i++) list = [i, list[0]];
      return list[1];
    });
    JSON.parse('1', function short() {
      let list = [0];
      for (let i = 0; i < 30000; i++) list = [i, list[0]];
      return list[1];
    });
  }
}

// Functions that are small and called often: optimized code has them in the places of
// the calls.
const PART = 1000;

function often(x) {
  for (let i = 0; i < 7 * PART; i++) x = (x * 31 + i) ^ (x >>> 3);
  return x;
}

function seldom(x) {
  for (let i = 0; i < 2 * PART; i++) x = (x * 31 + i) ^ (x >>> 3);
  return x;
}

// It has no name of its own but that of what it is assigned to.
function Sum() {}
Sum.prototype.rarely = function (x) {
  for (let i = 0; i < 1 * PART; i++) x = (x * 31 + i) ^ (x >>> 3);
  return x;
};
const sum = new Sum();

function together(x) {
  x = often(x);
  x = seldom(x);
  x = sum.rarely(x);
  return x;
}

function inlined() {
  for (let x = 0; ; ) x = together(x);
}

// It is called once, and so replaced by optimized code within its loop.
function replaced() {
  for (let x = 0, i = 0; ; i = (i + 1) | 0) x = (x * 33 + i) ^ (x >>> 3);
}

const what = process.argv[2];
// Compilers have to be done with it before its shares are what they stay.
for (const end = Date.now() + 1000; what === 'inlined' && Date.now() < end; ) together(0);
console.log('ready');
({ run, workers, young, inlined, replaced })[what]();
