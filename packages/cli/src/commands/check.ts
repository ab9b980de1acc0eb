import { counterexampleOf, explore, type Model, scriptModel, toTable } from "@mmu-notifier/checker";
import type { Command } from "commander";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK } from "../errors.js";
import { shippedRegistry } from "../registry.js";
import { loadScripts } from "../run-scripts.js";

interface CheckFlags {
  readonly kernel?: string;
  readonly arch?: string;
  readonly driver: readonly string[];
  readonly script?: string;
  readonly json?: boolean;
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
    .option("--script <name>", "only this script of the file")
    .option("--json", "print one JSON object a script, a line each")
    .addHelpText(
      "after",
      `
Ops before the first thread block are run first; the blocks run at the same time; ops after them run at the end.

Examples:
  mmun check race.mm
  mmun check race.mm --kernel v6.12 --driver arm-smmu:ats`,
    )
    .action(async (file: string, { kernel, arch, json, ...flags }: CheckFlags) => {
      const registry = await shippedRegistry();
      let found = false;
      for (const script of await loadScripts(file, flags, registry)) {
        const given = {
          registry,
          ...(kernel === undefined ? {} : { kernel }),
          ...(arch === undefined ? {} : { arch }),
        };
        const { model, session, problems } = scriptModel(script, given);
        const rebuild = (): Model => scriptModel(script, given).model;
        const result = explore(model, { liveness: "task", rebuild });
        const findings = result.findings.map((finding) => ({
          verdict: finding.verdict,
          severity: finding.severity,
          about: finding.about,
          what: finding.what,
          // What a driver keeps for itself is as the search left it: such a model is shown from the start.
          counterexample: counterexampleOf(result.reexecuted ? rebuild() : model, finding),
        }));
        found ||= problems.length > 0 || findings.some(({ severity }) => severity === "error");
        if (json === true) context.print(JSON.stringify({ ...result, problems, findings }));
        else {
          const { states, transitions, bounds } = result;
          const { profile, arch: architecture } = session.machine.kernel;
          context.print(
            `${script.name}: kernel ${profile.name}, ${architecture.name}: ${states} states, ${transitions} transitions, ${bounds}`,
          );
          for (const { verdict, about, what } of problems) context.print(`\n${verdict} ${about}: ${what}`);
          for (const { verdict, about, what, counterexample } of findings)
            context.print(`\n${verdict} ${about}: ${what}\n\n${toTable(counterexample)}`);
        }
        session.close();
      }
      done(found ? EXIT_FINDING : EXIT_OK);
    });
}
