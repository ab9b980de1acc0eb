import { checkScenario, type Scenario, scenarios, toTable } from "@mmu-notifier/checker";
import { PluginRegistry } from "@mmu-notifier/machine";
import type { Section } from "../section.js";
import { type Subject, typedOptions } from "../subject.js";

/** Every interleaving of what happens at the same time: the checker's scenarios, with what the rules say of this driver. */
export function interleavings(kernels: readonly string[], maxStates: number): Section {
  return {
    name: "interleavings",
    kernels,
    tests: scenarios.map((scenario) => ({
      title: `${scenario.id}: ${scenario.title}`,
      beside: ({ driver }) => missingOption(scenario, driver.options ?? {}),
      run: (subject) => asTheRulesSay(scenario, subject, maxStates),
    })),
  };
}

function missingOption({ options = {} }: Scenario, has: object): string | undefined {
  const missing = Object.keys(options).find((name) => !(name in has));
  return missing === undefined ? undefined : `it has no option ${missing}`;
}

/** Throws with the shortest counterexample; returns why the scenario says nothing on this host. */
function asTheRulesSay(scenario: Scenario, subject: Subject, maxStates: number): string | undefined {
  const { driver, options, kernel, arch } = subject;
  const {
    skipped,
    expectation,
    exploration,
    counterexamples = [],
  } = checkScenario(scenario, {
    driver: driver.name,
    options: typedOptions(options),
    registry: PluginRegistry.withCore().add(driver, "secondaryMmuSuite({ driver })"),
    kernel,
    arch,
    explore: { maxStates },
  });
  if (skipped !== undefined) return skipped;
  const { verdict, perhaps = false, because } = expectation!;
  const findings = exploration!.findings.filter(({ severity }) => severity === "error");
  const at = findings.findIndex((finding) => finding.verdict !== verdict);
  if (at >= 0) {
    const { verdict: found, about, what } = findings[at]!;
    const shortest = counterexamples[exploration!.findings.indexOf(findings[at]!)];
    throw new Error(
      `${found}: ${about}: ${what}. It should come through: ${because}\n${shortest === undefined ? "" : toTable(shortest)}`,
    );
  }
  if (verdict !== undefined && !perhaps && findings.length === 0)
    throw new Error(`it comes through, where the rules say ${verdict}: ${because}. Are its declarations true?`);
  return undefined;
}
