import { CHANGES } from "./changes.js";
import type { Scenario } from "./scenario.js";
import { UPGRADES } from "./upgrades.js";

/**
 * Every scenario that a driver is put through, in the order of their numbers.
 *
 * @public
 */
export const scenarios: readonly Scenario[] = [...UPGRADES, ...CHANGES].sort(
  (a, b) => numberOf(a) - numberOf(b) || (a.id < b.id ? -1 : 1),
);

function numberOf({ id }: Scenario): number {
  return Number.parseInt(id.slice(1), 10);
}
