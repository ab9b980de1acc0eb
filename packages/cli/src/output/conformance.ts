import type { Divergence, FieldDiff, SetReport } from "@mmu-notifier/conformance";
import type { Context } from "../context.js";
import { table } from "./table.js";

/** Characters of one side of a difference that are worth reading. */
const SIDE = 600;
/** Events inside an operation that are listed. */
const EVENTS = 40;

/** A set as text: the table, the first divergences, what was left out. */
export function renderSet(report: Omit<SetReport, "known">, context: Context): string {
  const { name, kernel, arch, ops, equal, scripts, fields, divergences, leftOut } = report;
  const { colors } = context;
  const verdict = equal === ops ? colors.green("all equal") : colors.yellow(`${ops - equal} differ`);
  const rows = Object.entries(fields).map(([field, counts]) => [
    field,
    `${counts.compared}`,
    `${counts.equal}`,
    percent(counts.equal, counts.compared),
  ]);
  const lines = [
    `${colors.bold(name)}  ${kernel} ${arch}: ${scripts} scripts, ${ops} operations, ${equal} equal in every field (${percent(equal, ops)}), ${verdict}`,
    table(rows, ["field", "compared", "equal", ""]),
  ];
  const reasons = Object.entries(leftOut);
  if (reasons.length > 0) lines.push("", "  Left out:", table(reasons.map(([what, times]) => [`${times}`, what])));
  for (const divergence of divergences) lines.push("", renderDivergence(divergence, context));
  return lines.join("\n");
}

/** All sets in one table, then each script that differs with its operations and fields. */
export function renderBrief(sets: readonly Omit<SetReport, "known">[], { colors }: Context): string {
  const rows = sets.map(({ name, kernel, arch, ops, equal, fields }) => [
    name,
    kernel,
    arch,
    `${ops}`,
    `${equal}`,
    percent(equal, ops),
    Object.entries(fields)
      .filter(([, counts]) => counts.equal < counts.compared)
      .map(([field, counts]) => `${field} ${counts.compared - counts.equal}`)
      .join(", "),
  ]);
  const lines = [table(rows, ["set", "kernel", "arch", "operations", "equal", "", "differ in"])];
  for (const { name, divergences } of sets) {
    if (divergences.length > 0) lines.push("", colors.bold(`  ${name}`), table(scriptsThatDiffer(divergences)));
  }
  return lines.join("\n");
}

function scriptsThatDiffer(divergences: readonly Divergence[]): readonly (readonly string[])[] {
  const scripts = [...new Set(divergences.map(({ script }) => script))];
  return scripts.map((script) => {
    const differing = divergences.filter((divergence) => divergence.script === script);
    const fields = differing.flatMap(({ diffs, error }) =>
      error === undefined ? diffs.map(({ field }) => field) : ["error"],
    );
    return [script, differing.map(({ step }) => `${step}`).join(", "), [...new Set(fields)].join(", ")];
  });
}

function percent(part: number, whole: number): string {
  if (whole === 0) return "-";
  // Rounded down: 100 % means all.
  return `${(Math.floor((part / whole) * 10_000) / 100).toFixed(2)} %`;
}

/** A difference with the script up to it. */
export function renderDivergence(
  { script, step, ops, diffs, error, happened, via }: Divergence,
  { colors }: Context,
): string {
  const lines = [colors.bold(`  ${script}, operation ${step}`)];
  for (const [index, op] of ops.entries()) lines.push(`    ${index === step ? colors.yellow(`> ${op}`) : `  ${op}`}`);
  if (error !== undefined) lines.push(`    ${colors.red(error)}`);
  for (const diff of diffs) lines.push(...renderDiff(diff, colors));
  if (via !== undefined && via.length > 0) lines.push("    on the kernel:", ...via.map((path) => `      ${path}`));
  if (happened !== undefined && happened.length > 0) {
    lines.push("    on the model:", ...happened.slice(0, EVENTS).map((event) => `      ${brief(event)}`));
    if (happened.length > EVENTS) lines.push(`      … ${happened.length - EVENTS} more`);
  }
  return lines.join("\n");
}

function renderDiff({ field, expected, got }: FieldDiff, colors: Context["colors"]): readonly string[] {
  return [`    ${field}`, colors.green(`      expected ${side(expected)}`), colors.red(`      got      ${side(got)}`)];
}

function side(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > SIDE ? `${text.slice(0, SIDE)}…` : text;
}

function brief(event: NonNullable<Divergence["happened"]>[number]): string {
  const { kind, ...rest } = event;
  const values = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`,
  );
  return `${kind} ${values.join(" ")}`;
}
