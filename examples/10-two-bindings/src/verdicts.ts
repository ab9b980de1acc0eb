import { PluginRegistry } from "@mmu-notifier/machine";
import { type Trial, type Variant, verdictsOf } from "@mmu-notifier/script";
import driver from "./driver.js";

/** The ways in which this example runs its driver. */
export const VARIANTS: readonly Variant[] = [
  { title: "a process whose table is walked", driver: driver.name, options: "contexts=1" },
  { title: "a process whose pages are pinned", driver: driver.name, options: "contexts=0" },
];

/** What becomes of the driver on every kernel. */
export function verdicts(variant: Variant): readonly Trial[] {
  return verdictsOf(variant, PluginRegistry.withCore().add(driver, "examples/10-two-bindings"));
}
