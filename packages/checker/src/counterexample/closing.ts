import type { Finding } from "../engine/exploration.js";
import type { Counterexample } from "./replay.js";

/** Who is to answer for a finding. */
export interface Suspect {
  readonly driver: string;
  readonly kernel: string;
  readonly arch: string;
}

/**
 * What a counterexample comes to, in one sentence: driver, page, step and cause.
 *
 * @public
 */
export function closingSentence(
  { verdict, what, about }: Pick<Finding, "verdict" | "what" | "about">,
  { cycleFrom, stale, steps }: Counterexample,
  { arch, driver, kernel }: Suspect,
): string {
  const last = steps.at(-1);
  const at = last === undefined ? "" : ` at step ${cycleFrom ?? last.number}`;
  const where = `Driver ${driver} on ${kernel}, ${arch}${at}`;
  if (verdict !== "LIVELOCK" && verdict !== "STARVATION") return `${where}: ${what}.`;
  const count = cycleFrom === undefined ? 0 : steps.length - cycleFrom + 1;
  const cause =
    stale === undefined
      ? what
      : `${stale.page} is ${stale.truth} in the page table, ${stale.holder} keeps "${stale.entry}", and none of the ${count} steps that repeat drops it`;
  return `${where}: ${about} never gets through: ${cause}.`;
}
