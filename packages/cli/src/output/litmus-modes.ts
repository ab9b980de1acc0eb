import { type Agents, type LitmusCase, type LitmusVerdict, runLitmus, UnsupportedError } from "@mmu-notifier/checker";
import type { Context } from "../context.js";
import { table } from "./table.js";

/** The modes of agents, in the order of the columns. */
export const MODES: readonly Agents[] = ["btm", "notifier", "filtered", "none"];

/** One test in every mode. */
interface ModeRow {
  readonly name: string;
  readonly verdicts: Readonly<Record<Agents, LitmusVerdict>>;
  /** Modes in which it can end in something that it cannot with broadcasts. */
  readonly breaks: readonly Agents[];
}

/** The tests of a set in every mode. */
export interface ModeTable {
  readonly name: string;
  readonly tests: number;
  readonly unsupported: number;
  /** Tests that break in some mode. */
  readonly rows: readonly ModeRow[];
}

/** Runs every test with each kind of agents. */
export function compareModes(name: string, cases: readonly LitmusCase[]): ModeTable {
  const rows: ModeRow[] = [];
  let unsupported = 0;
  for (const { name: called, test } of cases) {
    if (test === undefined) {
      unsupported++;
      continue;
    }
    try {
      const results = MODES.map((agents) => runLitmus(test, { agents }));
      const right = new Set(results[0]!.outcomes.map((outcome) => outcome.join("; ")));
      const breaks = MODES.filter((_, at) => results[at]!.outcomes.some((outcome) => !right.has(outcome.join("; "))));
      if (breaks.length === 0) continue;
      const verdicts = Object.fromEntries(MODES.map((mode, at) => [mode, results[at]!.verdict]));
      rows.push({ name: called, verdicts: verdicts as ModeRow["verdicts"], breaks });
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      unsupported++;
    }
  }
  return { name, tests: cases.length, unsupported, rows };
}

function broken({ rows }: ModeTable, mode: Agents): number {
  return rows.filter(({ breaks }) => breaks.includes(mode)).length;
}

/** The table as text: a row for each test that breaks somewhere, with an exclamation mark where it does. */
export function renderModes(set: ModeTable, { colors }: Context): string {
  const rows = set.rows.map(({ name, verdicts, breaks }) => [
    name,
    ...MODES.map((mode) => (breaks.includes(mode) ? colors.red(`${verdicts[mode]} !`) : verdicts[mode])),
  ]);
  const total = ["tests that break", ...MODES.map((mode) => `${broken(set, mode)}`)];
  const run = set.tests - set.unsupported;
  return [
    `${colors.bold(set.name)}  ${run} of ${set.tests} tests run; "!": an outcome that broadcasts rule out`,
    table([...rows, total], ["test", ...MODES]),
  ].join("\n");
}

export function modesAsJson(set: ModeTable): object {
  return { ...set, broken: Object.fromEntries(MODES.map((mode) => [mode, broken(set, mode)])) };
}
