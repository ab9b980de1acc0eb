import type { OracleMachine, OracleReport, Verdict } from "@mmu-notifier/conformance";
import type { Context } from "../context.js";
import { renderDivergence, renderSet } from "./conformance.js";

/** A report as text, with the settings of this machine that the model does not know. */
export function renderOracle(name: string, report: OracleReport, context: Context): string {
  const lines = [renderSet({ ...report, name }, context)];
  for (const note of report.notes) lines.push("", `  The model does not know that ${note}.`);
  return lines.join("\n");
}

/** The counts of a report, for programs. */
export function summarizeOracle(name: string, report: OracleReport): object {
  const { kernel, arch, release, config, notes, scripts, ops, equal, fields, leftOut } = report;
  return { name, kernel, arch, release, config, notes, scripts, ops, equal, fields, leftOut };
}

/** A shrunk script with what this kernel did: lines of a corpus that `mmun conform` reads. */
export function corpusLines({ run }: Verdict, { config }: OracleMachine): readonly string[] {
  const { name, arena, records, exit } = run;
  return [{ script: name, arena, config }, ...records, exit].map((line) => JSON.stringify(line));
}

/** A shrunk script as a script file, the difference, and the records that make it a test. */
export function renderFind(verdict: Verdict, machine: OracleMachine, context: Context): string {
  const { script, divergences } = verdict;
  const [first] = divergences;
  const { colors } = context;
  const ops = script.statements.map(({ text }) => text);
  return [
    colors.bold(`  Shrunk to ${ops.length} operations:`),
    ...[`== ${script.name} arena ${script.arena}`, ...ops].map((line) => `    ${line}`),
    ...(first === undefined ? [] : [renderDivergence(first, context)]),
    colors.bold("  What this kernel did:"),
    ...corpusLines(verdict, machine).map((line) => `    ${line}`),
  ].join("\n");
}
