import type { Command } from "commander";
import type { Context } from "../context.js";
import { diagnose, type Diagnosis } from "../diagnose.js";
import { EXIT_FINDING, EXIT_OK } from "../errors.js";
import { table } from "../output/table.js";

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .argument("[folder]", "where the packages are installed", ".")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  mmun doctor\n  mmun doctor ../my-driver --json")
    .action(async (folder: string, { json = false }: { readonly json?: boolean }) => {
      const found = await diagnose(folder);
      if (json) context.print(JSON.stringify(found, undefined, 2));
      else show(found, context);
      done(found.some(({ verdict }) => verdict === "wrong") ? EXIT_FINDING : EXIT_OK);
    });
}

function show(found: readonly Diagnosis[], context: Context): void {
  const { colors } = context;
  const rows = found.map(({ verdict, what, remedy }) => [
    verdict === "wrong" ? colors.red("wrong") : colors.green("ok"),
    remedy === undefined ? what : `${what}\n${colors.dim(remedy)}`,
  ]);
  context.print(table(rows));
}
