import type { Exploration, ExploreOptions, Finding } from "./exploration.js";
import type { Model, Report } from "./model.js";
import { Execution } from "./execution.js";
import type { Move } from "./move.js";

const MOST_EXECUTIONS = 2000;

/** The beginning of an interleaving: a move behind another beginning. */
interface Beginning {
  readonly before: Beginning | undefined;
  readonly move: Move;
  readonly length: number;
}

function movesOf(last: Beginning | undefined): Move[] {
  const moves: Move[] = [];
  for (let at = last; at !== undefined; at = at.before) moves.unshift(at.move);
  return moves;
}

/**
 * Searches without storing a state: every beginning of an interleaving, shortest first, is run from the start on a model that is
 * built for it. Nothing is concluded from two states that look the same, so code may keep what it likes where it likes.
 *
 * @param hidden why this is necessary: these findings are given back too.
 */
export function reexecute(build: () => Model, options: ExploreOptions, hidden: readonly Finding[]): Exploration {
  const { maxExecutions = MOST_EXECUTIONS, maxDepth = Infinity, stopAtFirst = false } = options;
  const findings = new Map<string, Finding>();
  const queue: (Beginning | undefined)[] = [undefined];
  let name = "";
  let transitions = 0;
  let depth = 0;
  let executions = 0;
  let cutOff: string | undefined;
  for (const beginning of queue) {
    if (executions === maxExecutions) cutOff = `cut off at ${maxExecutions} executions`;
    else if (stopAtFirst && findings.size > 0) cutOff = "stopped at the first finding";
    if (cutOff !== undefined) break;
    const moves = movesOf(beginning);
    const execution = new Execution(build());
    ({ name } = execution.model);
    executions++;
    transitions += moves.length;
    depth = Math.max(depth, moves.length);
    const note = (report: Report): void => {
      const key = `${report.verdict} ${report.what}`;
      if (!findings.has(key)) findings.set(key, { ...report, severity: "error", schedule: { stem: moves, cycle: [] } });
    };
    // A move that was possible may not be any more, if what decides is kept outside and not rebuilt.
    if (!execution.run(moves, note)) continue;
    const next = execution.moves();
    if (next.length > 0 && moves.length >= maxDepth) {
      cutOff ??= `cut off at ${maxDepth} steps`;
      continue;
    }
    for (const move of next) queue.push({ before: beginning, move, length: moves.length + 1 });
  }
  return {
    model: name,
    states: executions,
    transitions,
    depth,
    bounds: `re-executed, no states told apart: ${cutOff ?? "complete"}`,
    complete: cutOff === undefined,
    reexecuted: true,
    findings: [...hidden, ...findings.values()],
    bytesPerState: 0,
    generatorRuns: executions,
    localStates: [],
  };
}
