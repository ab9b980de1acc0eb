import type { Command } from "commander";
import { type CheckFlags, checkDriver, checkFile, checkPatch, isScript } from "../check/check.js";
import type { Context } from "../context.js";
import { EXIT_FINDING, EXIT_OK, UsageError } from "../errors.js";

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument(
      "[target]",
      "a driver (NAME, package or path, with :key=value,…), or a script (FILE.mm, or - for standard input)",
    )
    .option("--kernel <name>", "the kernel; see `mmun list kernels`")
    .option("--arch <name>", "the architecture; see `mmun list archs`")
    .option("--scenarios <names>", "of a driver: only these, for instance X1,X4+ats")
    .option("--basic", "of a driver: leave out the scenarios with other hardware (X4+ats and its like)")
    .option("--patch", "put the questions about the patch to the search, on the patch, its repair and v6.12")
    .option("--fair <task|cpu>", "who moves on for ever if it can: every task, or every CPU and device", "task")
    .option("--bound <states>", "cut the search off after so many states", "2000000")
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
  mmun check arm-smmu --kernel v6.4 --replay 'X2/3f0a:A*14(A*18)'`,
    )
    .action(async (target: string | undefined, flags: CheckFlags) => {
      if (flags.patch === true)
        return done((await checkPatch(target ?? "arm-smmu", flags, context)) ? EXIT_FINDING : EXIT_OK);
      if (target === undefined)
        throw new UsageError("expected a driver or a script to check. `mmun list drivers` lists drivers");
      const found = await (isScript(target) ? checkFile(target, flags, context) : checkDriver(target, flags, context));
      done(found ? EXIT_FINDING : EXIT_OK);
    });
}
