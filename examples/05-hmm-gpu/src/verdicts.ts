import { PluginRegistry } from "@mmu-notifier/machine";
import { type Trial, type Variant, verdictsOf } from "@mmu-notifier/script";
import driver from "./driver.js";

/** The ways in which this example runs its driver. */
export const VARIANTS: readonly Variant[] = [
  { title: "the event filtered", driver: driver.name, options: "" },
  { title: "the event acted on", driver: driver.name, options: "filter=false" },
];

/** What becomes of the driver on every kernel. */
export function verdicts(variant: Variant): readonly Trial[] {
  return verdictsOf(variant, PluginRegistry.withCore().add(driver, "examples/05-hmm-gpu"));
}
