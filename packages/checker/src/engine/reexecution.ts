import { withinTime } from "./within-time.js";
import type { Exploration, ExploreOptions, Finding } from "./exploration.js";
import { Execution } from "./execution.js";
import type { Model, Report } from "./model.js";
import { type Move, taskOf } from "./move.js";

const ENDLESS = "stopped at an execution that does not end";
const MOST_EXECUTIONS = 2000;
/** Steps after which an execution that does not end is left. */
const MOST_STEPS = 1000;

/**
 * Searches without storing a state: every interleaving is run from the start on a model that is built for it. Nothing is concluded
 * from two states that look the same, so code may keep what it likes where it likes. Interleavings in which a task is interrupted
 * least often come first: most mistakes need one or two interruptions, and the counterexample is easy to follow.
 *
 * @param hidden why this is necessary: these findings are given back too.
 */
export function reexecute(build: () => Model, options: ExploreOptions, hidden: readonly Finding[]): Exploration {
  return new Reexecution(build, options).search(hidden);
}

class Reexecution {
  readonly #build: () => Model;
  readonly #options: ExploreOptions;
  readonly #findings = new Map<string, Finding>();
  /** Beginnings of interleavings that are still to be run, by how often a task is interrupted in them. */
  readonly #left: Move[][][] = [[[]]];
  #name = "";
  #executions = 0;
  #transitions = 0;
  #depth = 0;
  #cutOff: string | undefined;

  constructor(build: () => Model, options: ExploreOptions) {
    this.#build = build;
    this.#options = options;
  }

  search(hidden: readonly Finding[]): Exploration {
    const { maxExecutions = MOST_EXECUTIONS, stopAtFirst = false } = this.#options;
    let stopped: string | undefined;
    for (let interruptions = 0; interruptions < this.#left.length && stopped === undefined; interruptions++) {
      for (const beginning of this.#left[interruptions]!) {
        if (this.#executions === maxExecutions)
          stopped = `cut off at ${maxExecutions} executions, with ${interruptions} interruptions of a task`;
        else if (stopAtFirst && this.#findings.size > 0) stopped = "stopped at the first finding";
        if (stopped !== undefined) break;
        const endless = this.#executeInTime(beginning, interruptions);
        if (endless === undefined) continue;
        stopped = ENDLESS;
        this.#noteEndless(endless);
      }
      this.#left[interruptions] = [];
    }
    const cutOff = stopped ?? this.#cutOff;
    return {
      model: this.#name,
      states: this.#executions,
      transitions: this.#transitions,
      depth: this.#depth,
      bounds: `re-executed, no states told apart: ${cutOff ?? "complete"}`,
      complete: cutOff === undefined,
      reexecuted: true,
      findings: [...hidden, ...this.#findings.values()],
      bytesPerState: 0,
      generatorRuns: this.#executions,
      localStates: [],
    };
  }

  /** The moves of an execution whose last never ends: it comes no further in twice the time. */
  #executeInTime(beginning: readonly Move[], interruptions: number): readonly Move[] | undefined {
    const { stepTimeout } = this.#options;
    for (let time = stepTimeout, before = -1; ;) {
      const moves: Move[] = [];
      if (withinTime(() => this.#execute(beginning, interruptions, moves), time)) return undefined;
      if (moves.length === before) return moves;
      before = moves.length;
      time = time! * 2;
    }
  }

  /** An execution was given up in its last move. */
  #noteEndless(moves: readonly Move[]): void {
    const what =
      "the last step of an execution, or what its path does up to the next, did not end, in twice the time neither. It loops for ever";
    const schedule = { stem: moves, cycle: [] };
    this.#findings.set(what, { verdict: "HANG", about: this.#name, what, severity: "error", schedule });
  }

  /** Runs a beginning, then on without interrupting anybody to the end; what else could have come is left for later. */
  #execute(beginning: readonly Move[], interruptions: number, moves: Move[]): void {
    const { maxDepth = MOST_STEPS } = this.#options;
    const execution = new Execution(this.#build());
    this.#name = execution.model.name;
    this.#executions++;
    const note = (report: Report): void => {
      const key = `${report.verdict} ${report.what}`;
      if (this.#findings.has(key)) return;
      this.#findings.set(key, { ...report, severity: "error", schedule: { stem: [...moves], cycle: [] } });
    };
    let goesOn = execution.lookAround(note);
    for (let at = 0; goesOn; at++) {
      const possible = execution.moves();
      if (possible.length === 0) break;
      if (at >= maxDepth) {
        this.#cutOff ??= `cut off at ${maxDepth} steps`;
        break;
      }
      const last = moves.at(-1);
      const own = last === undefined ? [] : possible.filter((m) => taskOf(m) === taskOf(last));
      const next = beginning[at] ?? own[0] ?? possible[0]!;
      // A move that was possible may not be any more, if what decides is kept outside and not built anew.
      if (!possible.includes(next)) break;
      if (at >= beginning.length) {
        for (const other of possible) {
          if (other === next) continue;
          const interrupts = own.length > 0 && !own.includes(other) ? 1 : 0;
          (this.#left[interruptions + interrupts] ??= []).push([...moves, other]);
        }
      }
      moves.push(next);
      this.#transitions++;
      this.#depth = Math.max(this.#depth, moves.length);
      goesOn = execution.take(next, note);
    }
  }
}
