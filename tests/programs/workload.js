// CPU-bound JavaScript with known functions.
//
//     main > run > hot   70 %
//                > cold  30 %
//
// node [--perf-basic-prof --interpreted-frames-native-stack] workload.js [SECONDS]
// With --perf-basic-prof, node writes names of compiled functions to
// /tmp/perf-PID.map. The two functions are written out twice, and called
// through `steps`, so that V8 does not inline them into `run`.

function hot() {
  let total = 0;
  for (let i = 0; i < 700000; i++) total = (total + i * i) % 1000003;
  return total;
}

function cold() {
  let total = 0;
  for (let i = 0; i < 300000; i++) total = (total + i * i) % 1000003;
  return total;
}

const steps = [hot, cold];

function run(end) {
  let total = 0;
  while (performance.now() < end) for (const step of steps) total += step();
  return total;
}

function main() {
  const seconds = Number(process.argv[2] ?? 0);
  const end = seconds > 0 ? performance.now() + seconds * 1000 : Infinity;
  process.stdout.write("ready\n");
  run(end);
}

main();
