import { PluginRegistry } from "@mmu-notifier/machine";
import { type Trial, type Variant, verdictsOf } from "@mmu-notifier/script";
import driver from "./driver.js";

/** The ways in which this example runs its driver. */
export const VARIANTS: readonly Variant[] = [
  { title: "x86-64, entries that lack a right are walked again", driver: driver.name, options: "", arch: "x86-64" },
  {
    title: "x86-64, the IOTLB answers from such entries",
    driver: driver.name,
    options: "hitPolicy=fault-from-tlb",
    arch: "x86-64",
  },
  { title: "arm64, the IOTLB answers from such entries", driver: driver.name, options: "hitPolicy=fault-from-tlb" },
];

/** What becomes of the driver on every kernel. */
export function verdicts(variant: Variant): readonly Trial[] {
  return verdictsOf(variant, PluginRegistry.withCore().add(driver, "examples/07-vtd-sva"));
}
