import type { Command } from "commander";
import { PluginRegistry, pluginThrew } from "@mmu-notifier/machine";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK, EXIT_USAGE } from "../errors.js";
import { refuse } from "../option-clash.js";
import { complain, driversThrew } from "../output/complain.js";
import { renderScript } from "../output/timeline.js";
import { addPlugins } from "../registry.js";
import { type RunOptions, runScripts, type ScriptRun, STEP_TIME } from "../run-scripts.js";

/** Something that the caller should look at: a device that can never go on, a rule of the kernel that was broken. */
function isFinding({ breaches, broken, records, violations }: ScriptRun): boolean {
  if (breaches.length > 0 || violations.length > 0) return true;
  return broken !== undefined || records.some(({ livelock }) => livelock !== undefined);
}

/** A driver that throws is wrong input, whatever else was found: the run says nothing about the kernel. */
function exitCode(runs: readonly ScriptRun[]): number {
  if (runs.some(({ errors }) => errors.length > 0)) return EXIT_USAGE;
  return runs.some(isFinding) ? EXIT_FINDING : EXIT_OK;
}

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument("<file>", "a script, or - for standard input")
    .option("--kernel <name>", "a kernel instead of the script's; see `mmun list kernels`")
    .option("--arch <name>", "an architecture instead of the script's; see `mmun list archs`")
    .option(
      "--driver <[device=]name[:key=value,…]>",
      "a driver for the script's devices, by name, package or path; may be given again",
      (value: string, before: readonly string[]) => [...before, value],
      [] as readonly string[],
    )
    .option(
      "--plugin <name>",
      "a package or file with invariants, exporters, kernels, …; may be given again",
      (value: string, before: readonly string[]) => [...before, value],
      [] as readonly string[],
    )
    .option("--export <name>", "print what this exporter makes of each script; see `mmun list plugins --plugin …`")
    .option("--step-time <seconds>", "how long a single step may take before it counts as endless", STEP_TIME)
    .option("--script <name>", "only this script of the file")
    .option("--pages", "also show VMAs and pages after each op")
    .option("--json", "print one JSON object a script, a line each")
    .addHelpText(
      "after",
      `
Examples:
  mmun run upgrade.mm
  mmun run upgrade.mm --kernel v6.4+upgrade-event --driver arm-smmu:ats
  mmun run upgrade.mm --driver ./my-driver.ts --json
  echo 'map 0 4 rw- p anon' | mmun run -`,
    )
    .action(async (file: string, options: RunOptions & { readonly export?: string }) => {
      if (options.export !== undefined)
        refuse(command, ["json", "pages"], "with --export, whose exporter gets all there is. Leave one out");
      const exporter =
        options.export === undefined ? undefined : await exporterOf(options.export, options.plugin ?? []);
      const runs = await runScripts(file, options, context);
      for (const [index, run] of runs.entries()) {
        if (exporter !== undefined) context.print(exporter(summary(run)));
        else if (options.json === true) context.print(JSON.stringify(summary(run)));
        else context.print(`${index === 0 ? "" : "\n"}${renderScript(run, context, options.pages === true)}`);
      }
      const errors = runs.flatMap((run) => run.errors);
      if (errors.length > 0) context.warn(complain(driversThrew(errors)));
      done(exitCode(runs));
    });
}

function summary(run: ScriptRun): object {
  const { script, ...rest } = run;
  return { script: script.name, arena: script.arena, ...rest };
}

/** An exporter by name, of the plugins given; what it throws says whose it is. */
async function exporterOf(name: string, plugins: readonly string[]): Promise<(run: object) => string> {
  const registry = PluginRegistry.withCore();
  await addPlugins(registry, plugins, process.cwd());
  const { origin, plugin } = registry.find("exporter", name);
  return (run) => {
    try {
      return plugin.exporter.export(run);
    } catch (cause) {
      throw pluginThrew("exporter", name, origin, cause);
    }
  };
}
