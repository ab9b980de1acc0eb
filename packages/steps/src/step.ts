import type { Lock } from "./lock.js";

/**
 * What a step means for the context its task runs in. The context is a function of the steps a task has taken, not of
 * shared memory, so a checker works it out once for each local state.
 */
export type ContextEffect =
  | {
      readonly kind: "acquire";
      readonly lock: Lock;
      readonly mode: "read" | "write";
      readonly subclass: number;
      readonly attempt: boolean;
    }
  | { readonly kind: "release"; readonly lock: Lock }
  | { readonly kind: "might-sleep" }
  | { readonly kind: "preempt-disable" }
  | { readonly kind: "preempt-enable" }
  | { readonly kind: "non-block-start" }
  | { readonly kind: "non-block-end" }
  | { readonly kind: "enter"; readonly fn: string }
  | { readonly kind: "leave" };

/**
 * One atomic step of a path: nothing else happens while `run` runs.
 *
 * `run` is the only place where shared memory may be read or written. It returns an int32 (or any integer a double holds)
 * which `yield` hands back to the path; the code between two yields may use nothing but such results and its arguments.
 * That is what lets one generator be run straight, be replayed, and be turned into an automaton by a checker.
 *
 * @public
 */
export class Step {
  /** Performs the step for task `task` (its number) and returns the result. */
  readonly run: (task: number) => number;
  /** When given, the step waits until this is true. */
  readonly ready: ((task: number) => boolean) | undefined;
  readonly effect: ContextEffect | undefined;
  /** Above 0: the result is any of 0 to `choices - 1`, and `run` touches nothing. */
  readonly choices: number;
  /** @internal */
  readonly text: string;
  /** @internal */
  readonly place: number;

  /** @param place a number that stands behind the label, if it is not below 0; it is put there when somebody asks */
  constructor(
    label: string,
    run: (task: number) => number,
    ready?: (task: number) => boolean,
    effect?: ContextEffect,
    choices = 0,
    place = -1,
  ) {
    this.text = label;
    this.run = run;
    this.ready = ready;
    this.effect = effect;
    this.choices = choices;
    this.place = place;
  }

  /** What happens, in the kernel's or the hardware manual's words. */
  get label(): string {
    return this.place < 0 ? this.text : `${this.text} ${this.place}`;
  }
}

/** A path through the kernel, a driver or a device, written once and run straight, replayed or explored. */
export type Path<R = void> = Generator<Step, R, number>;

const nothing = (): number => 0;

/** An atomic step. */
export function step(label: string, run: (task: number) => number): Step {
  return new Step(label, run);
}

/** An atomic step about one page, entry or the like, whose number its label ends with. */
export function stepAt(label: string, place: number, run: (task: number) => number): Step {
  return new Step(label, run, undefined, undefined, 0, place);
}

/** A step that waits until `ready` is true and then runs, in one piece. */
export function waitFor(
  label: string,
  ready: (task: number) => boolean,
  run: (task: number) => number = nothing,
): Step {
  return new Step(label, run, ready, MIGHT_SLEEP_EFFECT);
}

/** A busy wait: like {@link waitFor}, but allowed where sleeping is not (a queue polled under a spinlock). */
export function spinUntil(
  label: string,
  ready: (task: number) => boolean,
  run: (task: number) => number = nothing,
): Step {
  return new Step(label, run, ready);
}

/**
 * True for a step of {@link waitFor} or {@link spinUntil} that does nothing but wait: it takes nothing that others might lack.
 *
 * @public
 */
export function onlyWaits({ ready, run }: Step): boolean {
  return ready !== undefined && run === nothing;
}

/** A free choice between `count` alternatives: a checker tries all, the straight runner takes the first. */
export function choose(label: string, count: number): Step {
  return new Step(label, nothing, undefined, undefined, count);
}

const MIGHT_SLEEP_EFFECT: ContextEffect = { kind: "might-sleep" };
/** The marker that a task leaves the function that it is in. */
export const LEAVE_MARKER = new Step("leave", nothing, undefined, { kind: "leave" });
const PREEMPT_DISABLE = new Step("preempt_disable", nothing, undefined, { kind: "preempt-disable" });
const PREEMPT_ENABLE = new Step("preempt_enable", nothing, undefined, { kind: "preempt-enable" });
const NON_BLOCK_START = new Step("non_block_start", nothing, undefined, { kind: "non-block-start" });
const NON_BLOCK_END = new Step("non_block_end", nothing, undefined, { kind: "non-block-end" });

const enters = new Map<string, Step>();

/** The marker that a task enters the kernel function `fn`. */
export function enterMarker(fn: string): Step {
  let marker = enters.get(fn);
  if (marker === undefined) {
    marker = new Step(fn, nothing, undefined, { kind: "enter", fn });
    enters.set(fn, marker);
  }
  return marker;
}

/** True for markers that only move a task's context and are not scheduling points. */
export function isMarker(candidate: Step): boolean {
  switch (candidate.effect?.kind) {
    case "enter":
    case "leave":
    case "preempt-disable":
    case "preempt-enable":
    case "non-block-start":
    case "non-block-end":
      return true;
    case "might-sleep":
      return candidate.ready === undefined;
    case "acquire":
    case "release":
      return candidate.effect.lock.class.kind === "map";
    default:
      return false;
  }
}

const mightSleepMarkers = new Map<string, Step>();

/** might_sleep(): an error if the task holds a spinlock, has preemption off or is in a non-blockable section. */
export function mightSleep(fn: string): Step {
  let marker = mightSleepMarkers.get(fn);
  if (marker === undefined) {
    marker = new Step(fn, nothing, undefined, MIGHT_SLEEP_EFFECT);
    mightSleepMarkers.set(fn, marker);
  }
  return marker;
}

/** preempt_disable(), as kmap_atomic() and get_cpu() imply. */
export const preemptDisable = (): Step => PREEMPT_DISABLE;
/** preempt_enable(). */
export const preemptEnable = (): Step => PREEMPT_ENABLE;
/** non_block_start(): until the matching end nothing may sleep. */
export const nonBlockStart = (): Step => NON_BLOCK_START;
/** non_block_end(). */
export const nonBlockEnd = (): Step => NON_BLOCK_END;
