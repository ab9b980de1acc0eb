import { LITMUS_REASONS, type LitmusJudgement, type LitmusReason, type LitmusStatus } from "@mmu-notifier/checker";
import type { Context } from "../context.js";
import { table } from "./table.js";

/** One set of tests, judged. */
export interface LitmusSet {
  readonly name: string;
  readonly judgements: readonly LitmusJudgement[];
}

const WORDS: Readonly<Record<LitmusStatus, string>> = {
  equal: "equal",
  subset: "stricter",
  extra: "EXTRA",
  unrecorded: "-",
  unsupported: "unsupported",
};

/** How many tests of a set ended in each way. */
export function counts({ judgements }: LitmusSet): Record<LitmusStatus | "states", number> {
  const of = (status: LitmusStatus): number => judgements.filter((judged) => judged.status === status).length;
  return {
    equal: of("equal"),
    subset: of("subset"),
    extra: of("extra"),
    unrecorded: of("unrecorded"),
    unsupported: of("unsupported"),
    states: judgements.reduce((sum, { result }) => sum + (result?.states ?? 0), 0),
  };
}

/** A set as text: the summary, reasons of what is stricter, what is unsupported, and what is extra. */
export function renderLitmus(set: LitmusSet, context: Context, show: number, verbose: boolean): string {
  const { colors } = context;
  const { judgements } = set;
  const { states } = counts(set);
  const extra = judgements.filter(({ status }) => status === "extra");
  const verdict =
    extra.length === 0 ? colors.green("nothing extra") : colors.red(`${extra.length} with extra outcomes`);
  const lines = [`${colors.bold(set.name)}  ${plural(judgements.length, "test")}, ${states} states: ${verdict}`];
  lines.push(summary(judgements), "");
  if (verbose)
    lines.push(
      table(
        judgements.map((judged) => row(judged)),
        ["test", "here", "recorded", "", ""],
      ),
      "",
    );
  for (const judged of extra.slice(0, show)) lines.push(...renderExtra(judged, colors), "");
  if (extra.length > show) lines.push(`  … ${extra.length - show} more with extra outcomes`, "");
  lines.push(...renderReasons(judgements, show, verbose), ...renderUnsupported(judgements));
  return lines.join("\n").trimEnd();
}

function summary(judgements: readonly LitmusJudgement[]): string {
  const rows: string[][] = [];
  for (const compared of ["outcomes", "verdict"] as const) {
    const some = judgements.filter((judged) => judged.compared === compared);
    if (some.length === 0) continue;
    const of = (status: LitmusStatus): string => `${some.filter((judged) => judged.status === status).length}`;
    rows.push([
      compared === "outcomes" ? "sets of outcomes" : "verdicts",
      `${some.length}`,
      of("equal"),
      of("subset"),
      of("extra"),
      percent(some.filter(({ status }) => status === "equal").length, some.length),
    ]);
  }
  const rest = (status: LitmusStatus, what: string): void => {
    const number = judgements.filter((judged) => judged.status === status).length;
    if (number > 0) rows.push([what, `${number}`]);
  };
  rest("unrecorded", "nothing recorded");
  rest("unsupported", "unsupported");
  return table(rows, ["compared", "tests", "equal", "stricter", "extra", ""]);
}

function row({ name, status, result, expected, unsupported, reasons }: LitmusJudgement): string[] {
  const note = unsupported === undefined ? reasons.join(", ") : `unsupported: ${unsupported}`;
  return [name, result?.verdict ?? "-", expected ?? "-", WORDS[status], note];
}

function renderExtra({ name, expected, extra, result }: LitmusJudgement, colors: Context["colors"]): string[] {
  const lines = [`  ${colors.bold(name)}`];
  if (extra.length === 0) lines.push(`    ${colors.red(`${result?.verdict} here, ${expected} as recorded`)}`);
  for (const outcome of extra) lines.push(`    ${colors.red(`not recorded: ${outcome}`)}`);
  if (extra.length === 0 && result?.witness !== undefined) lines.push(...result.witness.map((step) => `      ${step}`));
  return lines;
}

function renderReasons(judgements: readonly LitmusJudgement[], show: number, verbose: boolean): string[] {
  const groups = new Map<string, string[]>();
  for (const { name, status, reasons } of judgements) {
    if (status !== "subset") continue;
    const key = reasons.join(" ");
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  if (groups.size === 0) return [];
  const lines = ["  Stricter than recorded, and by which rule:"];
  for (const [key, names] of [...groups].sort(([, a], [, b]) => b.length - a.length)) {
    const some = names.slice(0, verbose ? names.length : show).join(", ");
    const more = !verbose && names.length > show ? `, … ${names.length - show} more` : "";
    lines.push(`  ${`${names.length}`.padStart(5)}  ${key.split(" ").join(" and ")}: ${some}${more}`);
  }
  const used = new Set([...groups.keys()].flatMap((key) => key.split(" ") as LitmusReason[]));
  return [...lines, "", ...[...used].map((name) => `    ${name}: ${LITMUS_REASONS[name]}`), ""];
}

function renderUnsupported(judgements: readonly LitmusJudgement[]): string[] {
  const some = judgements.filter(({ status }) => status === "unsupported");
  return some.map(({ name, unsupported }) => `  unsupported: ${unsupported} (${name})`);
}

function percent(part: number, whole: number): string {
  // Rounded down: 100 % means all.
  return whole === 0 ? "-" : `${(Math.floor((part / whole) * 1000) / 10).toFixed(1)} %`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
