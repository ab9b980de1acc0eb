// Recorded operations that the model runs and compares in every field, in operations a CPU second of all threads: the median of the
// passes after warm-up.
// usage: node conform.mjs FILE...
import { conform } from "@mmu-notifier/conformance";

const PASSES = 25;
/** For so long V8 still compiles: `node --trace-opt` shows how the functions a pass grow fewer. */
const WARM_UP = 18;
const files = process.argv.slice(2);

const rates = [];
let counters;
for (let pass = 0; pass < PASSES; pass++) {
  const before = process.cpuUsage();
  let ops = 0;
  let equal = 0;
  for (const file of files) {
    const report = await conform(file, { keep: 0 });
    ops += report.ops;
    equal += report.equal;
  }
  const { user, system } = process.cpuUsage(before);
  if (pass >= WARM_UP) rates.push(ops / ((user + system) / 1e6));
  const counted = `operations=${ops} equal=${equal}`;
  counters ??= counted;
  if (counters !== counted) throw new Error(`pass ${pass} counts ${counted}, the first ${counters}`);
}
const rate = rates.toSorted((a, b) => a - b)[rates.length >> 1];
console.log(JSON.stringify({ rate, counters }));
