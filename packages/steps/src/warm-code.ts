import type { Step } from "./step.js";

/** Of so many steps of a long run one is kept. */
const EVERY = 256;
/** So many are kept, the latest. */
const KEPT = 2048;
/** A machine that has taken fewer steps is not worth it, and is not kept alive by this. */
const LONG_RUN = 16_384;

const kept: Step[] = [];
let next = 0;

/**
 * Keeps some of the steps of a long run for a while, whatever they are: `taken` is how many the run has taken.
 *
 * Most steps are closures that live for one resume. V8 drops the optimized code of a function when a major collection finds no
 * instance of it alive, and then compiles it once more: a long run spent up to a third of its time on the same functions again and again.
 * Steps that are taken often are among those kept here, and so is their code.
 */
export function keepWarm(step: Step, taken: number): void {
  if (taken % EVERY !== 0 || taken < LONG_RUN) return;
  kept[next] = step;
  next = (next + 1) % KEPT;
}
