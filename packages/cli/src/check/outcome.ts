import type { ScenarioResult } from "@mmu-notifier/checker";
import type { Outcome } from "./render.js";

/** What became of a scenario, under the name that replay strings have. */
export function outcomeOf(
  { scenario, skipped, expectation, exploration, problems, counterexamples, kernel, arch }: ScenarioResult,
  driver: string,
  id: string = scenario.id,
): Outcome {
  return {
    id,
    title: scenario.title,
    driver,
    skipped,
    expectation,
    exploration,
    problems: problems ?? [],
    kernel: kernel ?? "",
    arch: arch ?? "",
    findings: (exploration?.findings ?? []).flatMap((finding, index) =>
      finding.severity === "error" ? [{ finding, counterexample: counterexamples![index]! }] : [],
    ),
  };
}
