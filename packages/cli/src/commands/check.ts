import type { Command } from "commander";
import { checkDriver, checkFile, isScript } from "../check/check.js";
import type { CheckFlags } from "../check/options.js";
import { checkPatch } from "../check/patch.js";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";
import { STEP_TIME } from "../run-scripts.js";
import { refuse } from "../option-clash.js";

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument(
      "[target]",
      "a driver (NAME, package or path, with :key=value,…), or a script (FILE.mm, or - for standard input)",
    )
    .option("--kernel <name>", "the kernel; see `mmun list kernels`")
    .option("--arch <name>", "the architecture; see `mmun list archs`")
    .option(
      "--scenarios <names>",
      "of a driver: only these, for instance X1,X4+ats; with --patch: only these questions",
    )
    .option("--basic", "of a driver: leave out the scenarios with other hardware (X4+ats and its like)")
    .option("--patch", "put the questions about the patch to the search, on the patch, its repair and v6.12")
    .option("--fair <task|cpu>", "who moves on for ever if it can: every task, or every CPU and device", "task")
    .option("--bound <states>", "cut the search off after so many states", "2000000")
    .option("--step-time <seconds>", "how long a single step may take before it counts as endless", STEP_TIME)
    .option("--replay <string>", "run a schedule again, step by step, with what each step changes")
    .option("--export <mermaid|perfetto|json>", "print the first finding's steps in this form and nothing else")
    .option(
      "--driver <[device=]name[:key=value,…]>",
      "of a script: a driver for its devices; may be given again",
      (value: string, before: readonly string[]) => [...before, value],
      [] as readonly string[],
    )
    .option("--script <name>", "of a script file: only this script")
    .option("--json", "print one JSON object a scenario, a line each")
    .addHelpText(
      "after",
      `
A driver is put through every scenario; a script's ops before its first thread block are run first, its blocks at the same time,
ops after them at the end.

Examples:
  mmun check arm-smmu --kernel v6.4
  mmun check ./my-driver.ts --scenarios X1,X4 --json
  mmun check race.mm --kernel v6.12 --driver arm-smmu:ats
  mmun check --patch
  mmun check --patch --scenarios Q3,Q7
  mmun check arm-smmu --kernel v6.4 --replay 'X2/3f0a:A*14(A*18)'`,
    )
    .action(async (target: string | undefined, flags: CheckFlags) => {
      refuseClashes(command, target, flags);
      const found = await (flags.patch === true
        ? checkPatch(target ?? "arm-smmu", flags, context)
        : isScript(target!)
          ? checkFile(target!, flags, context)
          : checkDriver(target!, flags, context));
      done(found ? EXIT_FINDING : EXIT_OK);
    });
}

/** Options that would do nothing beside the others, or beside what is checked. */
function refuseClashes(command: Command, target: string | undefined, flags: CheckFlags): void {
  if (target === undefined && flags.patch !== true)
    throw new UsageError(
      flags.replay === undefined
        ? "expected a driver or a script to check. `mmun list drivers` lists drivers"
        : 'expected the driver or the script that the schedule belongs to, with the options that the line "again:" below the counterexample has',
    );
  if (flags.export !== undefined)
    refuse(command, ["json"], "with --export, which prints in a form of its own. Leave one out");
  if (flags.replay !== undefined) {
    refuse(command, ["fair", "bound"], "with --replay, which runs one schedule and searches nothing. Leave it out");
    refuse(command, ["scenarios", "basic"], "with --replay, whose string names the scenario. Leave it out");
    refuse(command, ["json"], "with --replay. `--export json` prints the steps as JSON");
  }
  if (flags.scenarios !== undefined) refuse(command, ["basic"], "with --scenarios, which says which. Leave one out");
  if (flags.patch === true) {
    if (target !== undefined && isScript(target))
      throw new UsageError(
        `--patch asks a driver, and ${target} is a script. Name a driver, or leave it out for arm-smmu`,
      );
    refuse(
      command,
      ["kernel"],
      "with --patch, which asks on the patch, its repair and the kernels around it. Leave it out",
    );
    refuse(command, ["basic"], "with --patch. Choose questions with --scenarios Q3,Q7");
    refuse(
      command,
      ["driver", "script"],
      `with --patch. Name the driver as the target: mmun check --patch ${flags.driver[0] ?? "arm-smmu"}`,
    );
  } else if (isScript(target!))
    refuse(command, ["scenarios", "basic"], `for a script (${target!}): scenarios are for drivers. Leave it out`);
  else {
    refuse(
      command,
      ["driver"],
      `for a driver: ${target!} is the driver that is checked. Give it options after its name, ${target!.split(":")[0]!}:key=value, or name a script (FILE.mm)`,
    );
    refuse(
      command,
      ["script"],
      `for a driver (${target!}): it chooses a script of a file. Choose scenarios with --scenarios`,
    );
  }
}
