import { MmuNotifierError } from "@mmu-notifier/steps";

/**
 * One sentence for stderr. Errors that the project throws on purpose explain themselves; anything else is a bug of ours and says
 * so, without a stack unless MMUN_DEBUG is set.
 */
export function complain(problem: unknown): string {
  if (typeof problem === "string") return `mmun: ${sentence(problem)}`;
  if (problem instanceof MmuNotifierError) return `mmun: ${sentence(problem.message)}${debug(problem)}`;
  const message = problem instanceof Error ? problem.message : String(problem);
  return `mmun: internal error: ${sentence(message)} Please report it; MMUN_DEBUG=1 shows where it happened.${debug(problem)}`;
}

/** What drivers threw, in one sentence: the first, since a driver that throws does it again and again. */
export function driversThrew([first, ...more]: readonly string[]): string {
  return more.length === 0 ? first! : `${first}; ${more.length} more like it`;
}

/** One line that ends with a full stop. */
function sentence(text: string): string {
  const line = text.replace(/\s*\n\s*/g, " ").trim();
  return /[.?!)]$/.test(line) ? line : `${line}.`;
}

function debug(problem: unknown): string {
  const wanted = (process.env["MMUN_DEBUG"] ?? "") !== "";
  return wanted && problem instanceof Error && problem.stack !== undefined ? `\n${problem.stack}` : "";
}
