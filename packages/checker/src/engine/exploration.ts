import type { MmuNotifierError } from "@mmu-notifier/steps";
import type { Model } from "./model.js";
import type { Move } from "./move.js";
import type { Verdict } from "./verdict.js";

/**
 * How far a search goes, and what it looks for.
 *
 * @public
 */
export interface ExploreOptions {
  /** States after which the search is cut off. @defaultValue 50 million */
  readonly maxStates?: number;
  /** Steps after which an interleaving is cut off. @defaultValue none */
  readonly maxDepth?: number;
  /** Stop at the first finding. Its counterexample is the shortest in any case. @defaultValue false */
  readonly stopAtFirst?: boolean;
  /**
   * Look for executions that never make progress, under the assumption that every task ("task") or every CPU ("cpu") that
   * could move for ever does move. Needs {@link Model.progress}. @defaultValue no search for livelocks
   */
  readonly liveness?: "task" | "cpu";
  /** Look at one state of those that the model's symmetry makes equal. @defaultValue false */
  readonly symmetry?: boolean;
  /** Leave out orders of steps that do not depend on each other. @defaultValue false */
  readonly partialOrder?: boolean;
  /** Run steps and paths a second time to find state that is kept outside the memory. @defaultValue true */
  readonly audit?: boolean;
  /** Milliseconds after which a single step or path that does not end is given up. @defaultValue no limit */
  readonly stepTimeout?: number;
  /**
   * Builds the model anew, with everything that its code keeps anywhere. With it, a model in which HIDDEN-STATE was found is searched
   * again by re-execution: every interleaving is run from the start on a model of its own, those with fewest interruptions first,
   * and no two states are taken for the same.
   * @defaultValue none: HIDDEN-STATE is all that is said
   */
  readonly rebuild?: () => Model;
  /** Interleavings that are re-executed before that is cut off. @defaultValue 2000 */
  readonly maxExecutions?: number;
  /** Called now and then with what was found so far. */
  readonly onProgress?: (states: number, transitions: number) => void;
}

/**
 * A schedule: moves from the initial state, then moves that repeat for ever (none, if it just ends).
 *
 * @public
 */
export interface Schedule {
  readonly stem: readonly Move[];
  readonly cycle: readonly Move[];
}

/**
 * A rule that is broken, and a shortest interleaving that breaks it.
 *
 * @public
 */
export interface Finding {
  readonly verdict: Verdict;
  /** The object it is about. */
  readonly about: string;
  /** What happens, in a sentence. */
  readonly what: string;
  /** The rule that is broken, in words, where one has words. */
  readonly rule?: string;
  /** "warning": what is bounded only by fairness. */
  readonly severity: "error" | "warning";
  readonly error?: MmuNotifierError;
  readonly schedule: Schedule;
}

/**
 * What a search found.
 *
 * @public
 */
export interface Exploration {
  readonly model: string;
  readonly states: number;
  readonly transitions: number;
  /** Longest of the shortest ways to a state. */
  readonly depth: number;
  /** "complete", or why and where the search was cut off. */
  readonly bounds: string;
  readonly complete: boolean;
  /** The model was searched by re-execution: states and transitions count what was run, not what is different. */
  readonly reexecuted: boolean;
  readonly findings: readonly Finding[];
  /** Bytes a state takes, tables and trail included. */
  readonly bytesPerState: number;
  /** Times generators were run, and local states that came out of it. */
  readonly generatorRuns: number;
  readonly localStates: readonly number[];
}
