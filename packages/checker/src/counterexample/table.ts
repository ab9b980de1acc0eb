import type { Counterexample, ReplayedStep } from "./replay.js";

/** Layout of {@link toTable}. */
export interface TableOptions {
  /** Columns of text. @defaultValue 100 */
  readonly width?: number;
  /** Show what each step changes in memory. @defaultValue false */
  readonly changes?: boolean;
  /** End with the line that replays it. @defaultValue true */
  readonly replayLine?: boolean;
}

const NUMBER = 4;
const GAP = 2;
/** Larger results are packed words. */
const PLAIN = 9999;

/**
 * Draws an interleaving as the kernel's comments do: a column for each task that moves, time downwards.
 *
 * @public
 */
export function toTable(
  { tasks, steps, cycleFrom, error, replay, view }: Counterexample,
  options: TableOptions = {},
): string {
  const { width = 100, changes = false, replayLine = true } = options;
  const columns = tasks.filter((task) => steps.some((step) => step.task === task));
  const cell = Math.max(8, Math.floor((width - NUMBER) / Math.max(1, columns.length)) - GAP);
  const line = (number: string, column: number, text: string): string =>
    `${number.padStart(NUMBER)}${"".padEnd(column * (cell + GAP))}${"".padEnd(GAP)}${text}`.trimEnd();
  const lines = [
    line("", 0, columns.map((name) => fit(name, cell).padEnd(cell + GAP)).join("")),
    line("", 0, columns.map((name) => "-".repeat(Math.min(cell, name.length)).padEnd(cell + GAP)).join("")),
  ];
  const look = (lines: readonly string[]): string[] =>
    lines.map((text) => `${"".padStart(NUMBER)}| ${text}`.slice(0, width));
  let shown = view ?? [];
  lines.push(...look(shown));
  let functions: readonly string[] = [];
  let last = "";
  for (const step of steps) {
    const column = columns.indexOf(step.task);
    if (step.number === cycleFrom)
      lines.push(
        `${"".padStart(NUMBER + GAP)}${" from here on for ever ".padStart(30, "-").padEnd(width - NUMBER - GAP, "-")}`,
      );
    if (step.functions.length > 0 && (step.task !== last || step.functions.join() !== functions.join())) {
      for (const text of wrap(`${step.functions.at(-1)}():`, cell)) lines.push(line("", column, text));
    }
    ({ functions } = step);
    last = step.task;
    wrap(textOf(step, changes), cell).forEach((text, i) =>
      lines.push(line(i === 0 ? String(step.number) : "", column, text)),
    );
    if (step.view !== undefined && step.view.join() !== shown.join()) {
      shown = step.view;
      lines.push(...look(shown));
    }
  }
  if (error !== undefined) lines.push(...wrap(`=> ${error}`, width));
  if (replayLine) lines.push(`replay: ${replay}`);
  return lines.join("\n");
}

function textOf({ label, result, changes }: ReplayedStep, withChanges: boolean): string {
  // Packed words mean nothing to a reader.
  const gave = result === undefined || result === 0 || Math.abs(result) > PLAIN ? "" : ` = ${result}`;
  const did =
    withChanges && changes.length > 0
      ? ` {${changes.map(({ where, before, after }) => `${where}: ${before} -> ${after}`).join(", ")}}`
      : "";
  return `${label}${gave}${did}`;
}

function fit(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}~`;
}

/** Where a word that is too long is cut: after a sign that joins its parts, or where it has to be. */
function cut(word: string, width: number): number {
  for (let end = width; end > width / 2; end--) if (/[_.,()[\]/:-]/.test(word[end - 1]!)) return end;
  return width;
}

/**
 * Breaks a text at spaces; words that are too long are cut.
 *
 * @public
 */
export function wrap(text: string, columns: number): string[] {
  const width = Math.max(1, columns);
  const lines: string[] = [];
  let line = "";
  for (const whole of text.split(" ")) {
    let word = whole;
    while (word.length > width) {
      if (line !== "") lines.push(line);
      line = "";
      const end = cut(word, width);
      lines.push(word.slice(0, end));
      word = word.slice(end);
    }
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(line);
  return lines;
}
