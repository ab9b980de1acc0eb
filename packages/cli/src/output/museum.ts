import {
  type ControlResult,
  type EntryResult,
  type MuseumControl,
  type MuseumEntry,
  toTable,
  type VariantResult,
} from "@mmu-notifier/checker";
import type { Context } from "../context.js";
import { table } from "./table.js";

/** What was run, and for how long. */
export type Timed = { readonly milliseconds: number } & (
  | { readonly entry: EntryResult }
  | { readonly control: ControlResult }
);

/** Every entry with what it must say, and the controls; nothing is run. */
export function catalogue(
  entries: readonly MuseumEntry[],
  controls: readonly MuseumControl[],
  { colors }: Context,
): string {
  const rows = entries.map(({ number, id, year, class: kind, expect: [first] }) => [
    colors.dim(number),
    colors.cyan(id),
    year,
    kind,
    first!.verdict,
    first!.object,
    String(first!.steps),
  ]);
  const head = ["no", "id", "year", "class", "verdict", "object", "steps"].map((word) => colors.dim(word));
  const clean = controls.map(({ id, warns = [] }) => [
    colors.cyan(id),
    warns.length === 0 ? "clean" : warns.join(", "),
  ]);
  return [
    `${colors.bold("Bugs")}: the checker must find the verdict, and nothing once the bug is fixed`,
    table(rows, head),
    "",
    `${colors.bold("Controls")}: the checker must not call them bugs`,
    table(clean),
  ].join("\n");
}

/** Everything that was run, with what it said. */
export function resultTables(results: readonly Timed[], context: Context): string {
  const { colors } = context;
  const verdict = (complaints: readonly string[]): string =>
    complaints.length === 0 ? colors.green("ok") : colors.red("WRONG");
  const entries: string[][] = [];
  const controls: string[][] = [];
  const wrong: string[] = [];
  for (const result of results) {
    const time = `${Math.round(result.milliseconds)} ms`;
    if ("entry" in result) {
      const { entry, buggy, fixed, complaints } = result.entry;
      const clean = fixed.found.length === 0 ? states(fixed) : colors.red("not clean");
      const [verdictWord, object, steps] = foundCells(entry, buggy);
      entries.push([
        colors.dim(entry.number),
        colors.cyan(entry.id),
        entry.year,
        entry.class,
        verdictWord,
        object,
        steps,
        clean,
        time,
        verdict(complaints),
      ]);
      wrong.push(...complaints.map((complaint) => `  ${entry.id}: ${complaint}`));
    } else {
      const { control, models, complaints } = result.control;
      const warned = models.flatMap(({ warnings }) => warnings.map((it) => `${it.verdict} on ${it.object}`));
      controls.push([
        colors.cyan(control.id),
        models.map(states).join("; "),
        warned.join(", "),
        time,
        verdict(complaints),
      ]);
      wrong.push(...complaints.map((complaint) => `  ${control.id}: ${complaint}`));
    }
  }
  const dim = (words: readonly string[]): string[] => words.map((word) => colors.dim(word));
  return [
    ...(entries.length === 0
      ? []
      : [table(entries, dim(["no", "id", "year", "class", "verdict", "object", "steps", "fixed", "time", ""]))]),
    ...(controls.length === 0 ? [] : ["", table(controls, dim(["control", "search", "warnings", "time", ""]))]),
    ...wrong,
  ].join("\n");
}

/** One line over all. */
export function closingLine(results: readonly Timed[]): string {
  const right = results.filter((it) => ("entry" in it ? it.entry : it.control).complaints.length === 0).length;
  const seconds = results.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000;
  return `${right} of ${results.length} say what they must, in ${seconds.toFixed(1)} s`;
}

/** The verdict of the catalogue, its object, and the steps to it. */
function foundCells({ expect }: MuseumEntry, { found }: VariantResult): readonly [string, string, string] {
  const [wanted] = expect;
  const first = found.find((it) => it.verdict === wanted?.verdict && it.object === wanted.object) ?? found[0];
  return first === undefined ? ["nothing", "", ""] : [first.verdict, first.object, String(first.steps)];
}

/** One entry: what happened, how it is modelled, what the checker says. */
export function entryExplanation({ entry, buggy, fixed, complaints }: EntryResult, context: Context): string {
  const { colors } = context;
  const columns = Math.min(context.width, 100);
  const facts = [
    ["source", `${entry.source} (${entry.year})`],
    ["class", entry.class],
    ["exchanged", entry.swaps === "driver" ? "the driver" : "the kernel's path"],
  ] as const;
  return [
    `${colors.bold(entry.id)}  ${colors.dim(entry.number)}`,
    ...wrapped(entry.title, columns),
    "",
    ...facts.flatMap(([name, value]) =>
      wrapped(value, columns - 13).map((line, i) => `  ${colors.dim((i === 0 ? name : "").padEnd(9))}  ${line}`),
    ),
    "",
    ...wrapped(entry.story, columns),
    "",
    ...wrapped(entry.scenario, columns),
    "",
    `${colors.bold("buggy")}: ${states(buggy)}${buggy.found.length === 0 ? ", nothing found" : ""}`,
    ...findings(buggy, columns, context),
    "",
    `${colors.bold("fixed")}: ${states(fixed)}${fixed.found.length === 0 ? ", nothing found" : ""}`,
    ...findings(fixed, columns, context),
    ...complaints.map((complaint) => colors.red(`not as recorded: ${complaint}`)),
  ].join("\n");
}

/** One control: why it is no bug, what the checker says. */
export function controlExplanation({ control, models, complaints }: ControlResult, context: Context): string {
  const { colors } = context;
  const columns = Math.min(context.width, 100);
  return [
    colors.bold(control.id),
    ...wrapped(control.about, columns),
    "",
    ...models.flatMap((result) => [
      `${states(result)}${result.found.length === 0 ? ", nothing found" : ""}`,
      ...result.warnings.map(({ verdict, object, what }) => `${colors.yellow(verdict)} on ${object}: ${what}`),
      ...findings(result, columns, context),
    ]),
    ...complaints.map((complaint) => colors.red(`not as recorded: ${complaint}`)),
  ].join("\n");
}

function findings({ found }: Pick<VariantResult, "found">, width: number, { colors }: Context): string[] {
  return found.flatMap(({ verdict, object, steps, what, counterexample }) => [
    "",
    `${colors.red(verdict)} on ${object}, ${steps} steps`,
    ...wrapped(what, width),
    toTable(counterexample, { width }),
  ]);
}

function states({ bounds, states: count }: Pick<VariantResult, "bounds" | "states">): string {
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
