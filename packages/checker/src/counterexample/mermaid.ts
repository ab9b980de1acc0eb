import type { Counterexample } from "./replay.js";

/**
 * Draws an interleaving as a Mermaid sequence diagram: a note for each step, an arrow to each task that it wakes, a loop around
 * what repeats for ever.
 *
 * @public
 */
export function toMermaid({ tasks, steps, cycleFrom, error }: Counterexample): string {
  const lines = ["sequenceDiagram"];
  const id = (task: string): string => `t${tasks.indexOf(task)}`;
  for (const task of tasks) {
    if (steps.some((step) => step.task === task || step.wakes.includes(task)))
      lines.push(`  participant ${id(task)} as ${escaped(task)}`);
  }
  for (const { number, task, label, result, wakes } of steps) {
    if (number === cycleFrom) lines.push("  loop for ever");
    const text = escaped(`${number}. ${label}${result === undefined || result === 0 ? "" : ` = ${result}`}`);
    if (wakes.length === 0) lines.push(`  Note over ${id(task)}: ${text}`);
    for (const woken of wakes) lines.push(`  ${id(task)}->>${id(woken)}: ${text}`);
  }
  if (cycleFrom !== undefined) lines.push("  end");
  const last = steps.at(-1);
  if (error !== undefined && last !== undefined) lines.push(`  Note over ${id(last.task)}: ${escaped(error)}`);
  return `${lines.join("\n")}\n`;
}

/** Semicolons and hashes end a line or begin an entity in Mermaid. */
function escaped(text: string): string {
  return text.replaceAll("#", "#35;").replaceAll(";", "#59;").replaceAll("\n", " ");
}
