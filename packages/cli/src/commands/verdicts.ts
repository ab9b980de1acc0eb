import type { Command } from "commander";
import { type Trial, verdictsOf, verdictTable } from "@mmu-notifier/script";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK } from "../errors.js";
import { paintVerdict, verdictLegend } from "../output/paint-verdict.js";
import { resolveDriver, shippedRegistry } from "../registry.js";
import { parseDriver } from "../run-scripts.js";

interface Options {
  readonly kernel: readonly string[];
  readonly arch?: string;
  readonly json?: boolean;
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
    .action(async (written: string, { kernel, arch, json = false }: Options) => {
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
      const trials = verdictsOf(variant, registry, kernel.length === 0 ? undefined : kernel);
      if (json) context.print(JSON.stringify(trials, undefined, 2));
      else {
        const table = verdictTable(trials, (text, trial) => paintVerdict(text, trial, context.colors));
        context.print([table, "", ...verdictLegend(context.colors)].join("\n"));
      }
      done(exitCode(trials));
    });
}
