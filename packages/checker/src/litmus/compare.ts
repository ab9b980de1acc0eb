import type { LitmusResult } from "./run.js";

/**
 * How a set of outcomes relates to recorded ones: the same; fewer (this model is stricter); or some that were not recorded.
 *
 * @public
 */
export type Comparison = "equal" | "subset" | "extra";

/**
 * Compares a result with recorded outcomes.
 *
 * @public
 */
export function compareOutcomes(result: LitmusResult, recorded: readonly (readonly string[])[]): Comparison {
  const keys = new Set(recorded.map((outcome) => outcome.toSorted().join(";")));
  const ours = result.outcomes.map((outcome) => outcome.join(";"));
  if (ours.some((key) => !keys.has(key))) return "extra";
  return ours.length === keys.size ? "equal" : "subset";
}
