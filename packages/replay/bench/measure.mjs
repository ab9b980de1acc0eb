// What a measured program prints: one line of JSON. Rates are millions a CPU second, the median of the repetitions after warm-up.
export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** CPU seconds (user and system) of `run`. */
export function cpuSeconds(run) {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Repeats `run` (which returns how many things it did) and prints the median rate; `prepare` is not timed. */
export function report({ repetitions = 9, warmUp = 4, prepare = () => {}, run, counters = () => "", note = () => "" }) {
  const rates = [];
  for (let i = 0; i < repetitions; i++) {
    prepare();
    let work = 0;
    const seconds = cpuSeconds(() => (work = run()));
    if (i >= warmUp) rates.push(work / seconds / 1e6);
  }
  console.log(JSON.stringify({ rate: median(rates), counters: counters(), note: note() }));
}
