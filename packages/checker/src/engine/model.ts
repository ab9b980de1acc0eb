import type { Memory, Path } from "@mmu-notifier/steps";
import type { DeclaredState } from "./declared-state.js";
import type { Verdict } from "./verdict.js";

/** What a task's path may return: the locals of its next iteration, or nothing when the task is over. */
export type Iteration = readonly number[] | null | undefined | void;

/**
 * A task of a model. One call of `start` is one iteration; it returns the locals of the next. What happens inside an iteration
 * may depend on nothing but the locals and the results of its own steps.
 *
 * @public
 */
export interface TaskModel {
  readonly name: string;
  readonly start: (...locals: number[]) => Path<Iteration>;
  /** Locals of the first iteration. @defaultValue none */
  readonly locals?: readonly number[];
  /** A server: it may wait for ever at the start of an iteration, as hardware with an empty queue does. @defaultValue false */
  readonly serves?: boolean;
  /** The CPU (or device) it runs on, for fairness by CPU. @defaultValue its own */
  readonly cpu?: string;
}

/**
 * A property that every reachable state must have.
 *
 * @public
 */
export interface Invariant {
  readonly name: string;
  /** The verdict of a state that breaks it. @defaultValue "CONTRACT" */
  readonly verdict?: Verdict;
  /** Looks at the memory; true when the state is as it must be. */
  readonly holds: () => boolean;
}

/** A broken rule, of which object, and how. */
export interface Report {
  readonly verdict: Verdict;
  readonly about: string;
  readonly what: string;
  /** The rule in words. */
  readonly rule?: string;
}

/** True when this step of this task with this result is progress: what a livelock never does. */
export type ProgressRule = (task: string, label: string, result: number) => boolean;

/**
 * How one renaming of equal things (devices, CPUs, pages) acts on a model.
 *
 * @public
 */
export interface Renaming {
  /** Turns the state in work into its image. */
  readonly state: () => void;
  /** The task that plays the part of `task` in the image. */
  readonly task: (task: number) => number;
  /** The image of a task's locals. @defaultValue the same */
  readonly locals?: (task: number, locals: readonly number[]) => readonly number[];
  /** The image of a step's result. @defaultValue the same */
  readonly result?: (task: number, label: string, result: number) => number;
}

/** A cache that does not say what is true of a page. */
export interface Stale {
  readonly page: string;
  readonly truth: string;
  /** Whose cache, and what it says instead. */
  readonly holder: string;
  readonly entry: string;
}

/**
 * What to explore.
 *
 * @public
 */
export interface Model {
  readonly name: string;
  readonly tasks: readonly TaskModel[];
  /** All shared state: declared fields, or the memory of a machine. It must hold the initial state when a search starts. */
  readonly state: DeclaredState | Memory;
  readonly invariants?: readonly Invariant[];
  /** Rules that are broken in the state in work and whose objects only the state knows; looked at in every state, as invariants are. */
  readonly reports?: () => readonly Report[];
  readonly progress?: ProgressRule;
  /** What the state in work looks like to those who read a counterexample: what is true, and each cache's view of it. */
  readonly view?: () => readonly string[];
  /** The first cache that is out of date in the state in work. */
  readonly stale?: () => Stale | undefined;
  /** How readers see a step's label. @defaultValue as it is */
  readonly wording?: (label: string) => string;
  /**
   * True for steps that read and write nothing that another task or an invariant looks at, wherever they are taken. Partial-order
   * reduction takes them first; the checker tries them against the others and reports what is wrong (CHECKER_NOT_LOCAL).
   */
  readonly local?: (task: string, label: string) => boolean;
  /** The group of renamings under which the model is the same, without the identity. Must be closed under composition. */
  readonly symmetry?: readonly Renaming[];
}
