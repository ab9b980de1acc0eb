import type { Command } from "commander";
import type { PluginRegistry } from "@mmu-notifier/machine";
import { withinTime } from "@mmu-notifier/checker";
import { type Trial, type Variant, verdictsOf, verdictTable } from "@mmu-notifier/script";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";
import { paintVerdict, verdictLegend } from "../output/paint-verdict.js";
import { resolveDriver, shippedRegistry } from "../registry.js";
import { parseDriver, STEP_TIME, stepTimeOf } from "../run-scripts.js";

interface Options {
  readonly kernel: readonly string[];
  readonly arch?: string;
  readonly json?: boolean;
  readonly stepTime: string;
}

/** Times of a step within which all scenarios of a kernel are over: runs of a few hundred steps each. */
const ALL_SCENARIOS = 4;

/** @throws UsageError when code of the driver does not end */
function trialsOn(kernel: string, variant: Variant, registry: PluginRegistry, milliseconds: number): readonly Trial[] {
  let trials: readonly Trial[] | undefined;
  const time = ALL_SCENARIOS * milliseconds;
  if (withinTime(() => (trials = verdictsOf(variant, registry, [kernel])), time)) return trials!;
  throw new UsageError(
    `driver ${variant.driver} did not come to the end of its scenarios on ${kernel} within ${time} ms: its code loops for ever. \`mmun check ${variant.title}\` says where; --step-time gives it more time`,
    { driver: variant.driver, kernel },
  );
}

/** A device that cannot go on is what the command looks for. */
function exitCode(trials: readonly Trial[]): number {
  return trials.some(({ outcome }) => outcome === "livelock") ? EXIT_FINDING : EXIT_OK;
}

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument("<driver>", "a driver by name, package or path, with options: NAME:key=value,…")
    .option(
      "--kernel <name>",
      "only this kernel; may be given again",
      (value: string, before: readonly string[]) => [...before, value],
      [] as readonly string[],
    )
    .option("--arch <name>", "an architecture instead of arm64; see `mmun list archs`")
    .option("--step-time <seconds>", "how long a single step may take before it counts as endless", STEP_TIME)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Every scenario ends with a device that has read a page and then writes it; see the table of \`mmun\` without arguments.

Examples:
  mmun verdicts arm-smmu
  mmun verdicts iommu-btm:ats --kernel v6.4 --kernel v7.3
  mmun verdicts ./my-driver.ts`,
    )
    .action(async (written: string, { kernel, arch, json = false, stepTime }: Options) => {
      const registry = await shippedRegistry();
      const { driver, options } = parseDriver(written);
      const name = await resolveDriver(registry, driver, process.cwd());
      const words = Object.entries(options).map(([key, value]) => `${key}=${String(value)}`);
      const variant = {
        title: written,
        driver: name,
        options: words.join(" "),
        ...(arch === undefined ? {} : { arch }),
      };
      const time = stepTimeOf({ stepTime });
      const kernels = kernel.length === 0 ? registry.list("kernel-profile").map(({ name: known }) => known) : kernel;
      const trials = kernels.flatMap((one) => trialsOn(one, variant, registry, time));
      if (json) context.print(JSON.stringify(trials, undefined, 2));
      else {
        const table = verdictTable(trials, (text, trial) => paintVerdict(text, trial, context.colors));
        context.print([table, "", ...verdictLegend(context.colors)].join("\n"));
      }
      done(exitCode(trials));
    });
}
