// CPU-bound JavaScript with known shares of functions, and of the lines that call them.
//
//     (anonymous) > run > hot   70 %
//                       > warm  20 %
//                       > cold  10 %
//
// Each is called by a native function, so that it stays a function of its own however
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

console.log('ready');
run();
