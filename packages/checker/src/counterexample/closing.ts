import type { Finding } from "../engine/exploration.js";
import type { Counterexample } from "./replay.js";

/** Who is to answer for a finding. */
export interface Suspect {
  readonly driver: string;
  readonly kernel: string;
  readonly arch: string;
}

/** A cache line of a view that is not as the page table says: whose, what, and how it differs. */
const DIFFERS = /^ +(.*?): (.*?) {2}<- (.*)$/;

/**
 * What a counterexample comes to, in one sentence: driver, page, step and cause.
 *
 * @public
 */
export function closingSentence(
  { verdict, what, about }: Finding,
  { cycleFrom, steps }: Counterexample,
  { arch, driver, kernel }: Suspect,
): string {
  const last = steps.at(-1);
  const at = last === undefined ? "" : ` at step ${cycleFrom ?? last.number}`;
  const where = `Driver ${driver} on ${kernel}, ${arch}${at}`;
  if (verdict !== "LIVELOCK" && verdict !== "STARVATION") return `${where}: ${what}.`;
  const stale = staleIn(last?.view ?? []);
  const count = cycleFrom === undefined ? 0 : steps.length - cycleFrom + 1;
  const cause =
    stale === undefined
      ? what
      : `${stale.page} is ${stale.truth} in the page table, ${stale.holder} keeps "${stale.entry}", and none of the ${count} steps that repeat drops it`;
  return `${where}: ${about} never gets through: ${cause}.`;
}

/** The first cache that does not say what the page table says. */
function staleIn(
  view: readonly string[],
): { readonly page: string; readonly truth: string; readonly holder: string; readonly entry: string } | undefined {
  let page = "";
  let truth = "";
  for (const line of view) {
    const head = /^(page .*?): page table (.*)$/.exec(line);
    if (head !== null) [, page = "", truth = ""] = head;
    const differs = DIFFERS.exec(line);
    if (differs !== null) return { page, truth, holder: differs[1]!, entry: differs[2]! };
  }
  return undefined;
}
