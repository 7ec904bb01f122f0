// CPU-bound JavaScript with known shares of functions, and of the lines that call them.
//
//     (anonymous) > run > hot   70 %
//                       > warm  20 %
//                       > cold  10 %
//                 > young > long   70 %
//                         > short  30 %
//                 > inlined > together > often   70 %
//                                      > seldom  20 %
//                                      > rarely  10 %
//
// split.js WHAT, where WHAT is run, young or inlined
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

function rarely(x) {
  for (let i = 0; i < 1 * PART; i++) x = (x * 31 + i) ^ (x >>> 3);
  return x;
}

function together(x) {
  x = often(x);
  x = seldom(x);
  x = rarely(x);
  return x;
}

function inlined() {
  for (let x = 0; ; ) x = together(x);
}

console.log('ready');
({ run, young, inlined })[process.argv[2]]();
