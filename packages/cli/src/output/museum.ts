import { type EntryResult, type MuseumEntry, toTable, type VariantResult } from "@mmu-notifier/checker";
import type { Context } from "../context.js";
import { table } from "./table.js";

/** What the checker said, and how long that took. */
export interface TimedResult extends EntryResult {
  readonly milliseconds: number;
}

/** Every entry with what it must say; nothing is run. */
export function catalogue(entries: readonly MuseumEntry[], { colors }: Context): string {
  const rows = entries.map((entry) => {
    const [first] = entry.expect;
    return [
      colors.dim(entry.number),
      colors.cyan(entry.id),
      entry.year,
      entry.class,
      first!.verdict,
      first!.object,
      String(first!.steps),
    ];
  });
  return table(
    rows,
    ["no", "id", "year", "class", "verdict", "object", "steps"].map((word) => colors.dim(word)),
  );
}

/** Every entry with what it said. */
export function resultLines(results: readonly TimedResult[], { colors }: Context): string {
  const rows = results.map(({ entry, buggy, fixed, complaints, milliseconds }) => [
    colors.dim(entry.number),
    colors.cyan(entry.id),
    foundText(entry, buggy),
    fixed.found.length === 0 ? `${fixed.bounds}, ${fixed.states} states` : colors.red("not clean"),
    `${Math.round(milliseconds)} ms`,
    complaints.length === 0 ? colors.green("ok") : colors.red("WRONG"),
  ]);
  const head = ["no", "id", "buggy", "fixed", "time", ""].map((word) => colors.dim(word));
  const wrong = results.flatMap(({ entry, complaints }) =>
    complaints.map((complaint) => `  ${entry.id}: ${complaint}`),
  );
  return [table(rows, head), ...wrong].join("\n");
}

/** The verdict of the catalogue, and how many more there are. */
function foundText({ expect }: MuseumEntry, { found }: VariantResult): string {
  const [wanted] = expect;
  const first = found.find((it) => it.verdict === wanted?.verdict && it.object === wanted.object) ?? found[0];
  if (first === undefined) return "nothing";
  const more = found.length > 1 ? `, ${found.length - 1} more` : "";
  return `${first.verdict} on ${first.object} in ${first.steps}${more}`;
}

/** One closing line over all. */
export function timesLine(results: readonly TimedResult[]): string {
  const right = results.filter(({ complaints }) => complaints.length === 0).length;
  const seconds = results.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000;
  return `${right} of ${results.length} entries say what they must, in ${seconds.toFixed(1)} s`;
}

/** One entry: what happened, how it is modelled, what the checker says. */
export function explanation({ entry, buggy, fixed, complaints }: EntryResult, { colors, width }: Context): string {
  const columns = Math.min(width, 100);
  const facts = [
    ["source", `${entry.source} (${entry.year})`],
    ["class", entry.class],
    ["exchanged", entry.swaps === "driver" ? "the driver" : "the kernel's path"],
  ] as const;
  const found = buggy.found.map(({ verdict, object, steps, what, counterexample }) =>
    [
      `${colors.red(verdict)} on ${object}, ${steps} steps`,
      ...wrapped(what, columns),
      toTable(counterexample, { width: columns }),
    ].join("\n"),
  );
  return [
    `${colors.bold(entry.id)}  ${colors.dim(entry.number)}`,
    ...wrapped(entry.title, columns),
    "",
    table(facts.map(([name, value]) => [colors.dim(name), value])),
    "",
    ...wrapped(entry.story, columns),
    "",
    ...wrapped(entry.scenario, columns),
    "",
    `${colors.bold("buggy")}: ${states(buggy)}`,
    ...(found.length === 0 ? ["no finding"] : found.flatMap((text) => ["", text])),
    "",
    `${colors.bold("fixed")}: ${states(fixed)}${fixed.found.length === 0 ? ", nothing found" : ""}`,
    ...fixed.found.map(({ verdict, object }) => `${colors.red(verdict)} on ${object}`),
    ...complaints.map((complaint) => colors.red(`not as recorded: ${complaint}`)),
  ].join("\n");
}

function states({ bounds, states: count }: VariantResult): string {
  return `${bounds}, ${count} states`;
}

function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}
