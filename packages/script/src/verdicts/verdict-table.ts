import type { PluginRegistry } from "@mmu-notifier/machine";
import { UPGRADE_SCENARIOS, type Variant } from "./scenarios.js";
import { runTrial, type Trial } from "./trial.js";

/** Colours a finished cell; what it returns may be longer than the text only by characters that take no room. */
export type Paint = (text: string, trial: Trial) => string;

/**
 * Every upgrade scenario with one driver on every kernel of the registry.
 *
 * @param kernels names; absent: all, in the order of the registry
 * @throws MachineError when the driver or a kernel is not registered or the driver refuses the binding
 */
export function verdictsOf(
  variant: Variant,
  registry: PluginRegistry,
  kernels: readonly string[] = registry.list("kernel-profile").map(({ name }) => name),
): readonly Trial[] {
  return kernels.flatMap((kernel) =>
    UPGRADE_SCENARIOS.map((scenario) => runTrial(kernel, variant, scenario, registry)),
  );
}

/** What a trial came to in a few characters: `LIVELOCK`, `aborted`, or faults, commands (RESUME aside) and who told the driver. */
export function verdictCell({ outcome, faults, commands, upgrade, through }: Trial): string {
  if (outcome === "livelock") return "LIVELOCK";
  if (outcome === "aborted") return "aborted";
  const spent = Object.entries(commands).reduce((all, [name, count]) => all + (name === "CMD_RESUME" ? 0 : count), 0);
  const told =
    upgrade === "filtered"
      ? "filtered"
      : upgrade === "not sent"
        ? "untold"
        : through === "MMU_NOTIFY_PROTECTION_UPGRADE"
          ? "event"
          : "hook";
  return `${faults}f ${spent}c ${told}`;
}

/** Trials of one driver as a table: a row for each kernel, a column for each scenario. */
export function verdictTable(trials: readonly Trial[], paint: Paint = (text) => text): string {
  const kernels = [...new Set(trials.map(({ kernel }) => kernel))];
  const scenarios = [...new Set(trials.map(({ scenario }) => scenario))];
  const rows = kernels.map((kernel) =>
    scenarios.map((scenario) => {
      const trial = trials.find((one) => one.kernel === kernel && one.scenario === scenario)!;
      return { text: verdictCell(trial), trial };
    }),
  );
  const first = Math.max(...kernels.map((kernel) => kernel.length));
  const widths = scenarios.map((scenario, i) => Math.max(scenario.length, ...rows.map((row) => row[i]!.text.length)));
  const pad = (shown: string, length: number, i: number): string => `  ${shown}${" ".repeat(widths[i]! - length)}`;
  const head = scenarios.map((scenario, i) => pad(scenario, scenario.length, i)).join("");
  const body = rows.map((row, at) => {
    const cells = row.map(({ text, trial }, i) => pad(paint(text, trial), text.length, i)).join("");
    return `${kernels[at]!.padEnd(first)}${cells}`.trimEnd();
  });
  return [`${" ".repeat(first)}${head}`.trimEnd(), ...body].join("\n");
}
