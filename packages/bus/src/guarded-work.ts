import { BusError } from "./errors.js";
import { isMarker, nextStep, nextStepAfterThrow, type Path, Step } from "@mmu-notifier/steps";

/** Result of a step that threw; no step of a driver returns it. */
const THREW = Number.MIN_SAFE_INTEGER;

/**
 * Steps after which a subscriber's work is taken to be one that never ends. The longest that the shipped drivers need is a thousandth of
 * this.
 */
const MOST_STEPS = 1_000_000;

/** What was thrown, and the label of the step that threw it; without one it came from the code between two steps. */
export interface Fault {
  readonly cause: unknown;
  readonly step?: string | undefined;
}

/** Where an error that leaves a subscriber's work is put. */
export interface FaultBox {
  fault: Fault | undefined;
}

/**
 * A subscriber's work, run step by step to its end or to the first error that its code or one of its steps throws; the error
 * goes into the box. A step that throws resumes the work with that error, so that its own `finally` blocks run.
 */
export class GuardedWork<R> {
  /** What the work returned. */
  value: R | undefined = undefined;
  readonly #box: FaultBox;
  #path: Path<R> | undefined = undefined;
  /** The step that runs now is one that this work wrapped, not one of a call on the bus inside the work. */
  #wrapped = false;
  /** What a step threw and the work has not been told yet. */
  #thrown: Fault | undefined = undefined;
  /** What a step threw last. */
  #last: Fault | undefined = undefined;
  #steps = 0;

  constructor(box: FaultBox) {
    this.#box = box;
  }

  /** The first step, or undefined when the work is done. */
  begin<N>(work: (about: N) => Path<R>, about: N): Step | undefined {
    try {
      this.#path = work(about);
      checkPath(this.#path);
      return this.#take(nextStep(this.#path, 0));
    } catch (cause) {
      return this.#fail(cause);
    }
  }

  /** The step after one that returned `result`, or undefined when the work is done. */
  advance(result: number): Step | undefined {
    try {
      if (result !== THREW || !this.#wrapped) return this.#take(nextStep(this.#path!, result));
      const { cause } = this.#thrown ?? { cause: new Error("a step of the work threw") };
      this.#thrown = undefined;
      return this.#take(nextStepAfterThrow(this.#path!, cause));
    } catch (cause) {
      return this.#fail(cause);
    }
  }

  #take(next: IteratorResult<Step, R>): Step | undefined {
    if (next.done === true) {
      this.value = next.value;
      return undefined;
    }
    if (++this.#steps > MOST_STEPS) {
      throw new BusError(
        "BUS_WORK_ENDLESS",
        `the work has taken ${MOST_STEPS} steps, the last "${next.value.label}", and does not end. Wait with spinUntil() for what another task brings about`,
        { steps: MOST_STEPS, step: next.value.label },
      );
    }
    this.#wrapped = canThrow(next.value);
    return this.#wrapped ? this.#guard(next.value) : next.value;
  }

  #fail(cause: unknown): undefined {
    this.#box.fault = this.#last?.cause === cause ? this.#last : { cause };
  }

  /**
   * A checker runs one step from many states, so whether it throws must not depend on an earlier run: a wait that threw is
   * simply tried again by `run`.
   */
  #guard(step: Step): GuardedStep {
    const { ready } = step;
    const run = (task: number): number => {
      try {
        ready?.(task);
        return step.run(task);
      } catch (cause) {
        this.#thrown = { cause, step: step.label };
        this.#last = this.#thrown;
        return THREW;
      }
    };
    if (ready === undefined) return new GuardedStep(step.label, run, undefined, step.effect);
    const guardedReady = (task: number): boolean => {
      try {
        return ready(task);
      } catch {
        return true;
      }
    };
    return new GuardedStep(step.label, run, guardedReady, step.effect);
  }
}

/**
 * {@link GuardedWork} as a path: runs `start` to its end, or to the first error, which goes into `box`; the result is then
 * undefined.
 */
export function* guardedWork<R>(start: () => Path<R>, box: FaultBox): Path<R | undefined> {
  const guarded = new GuardedWork<R>(box);
  for (let step = guarded.begin(start, undefined); step !== undefined;) step = guarded.advance(yield step);
  return guarded.value;
}

/** @throws BusError BUS_WORK_NO_PATH for what an async function or an ordinary one returns */
function checkPath(path: unknown): void {
  if (typeof path === "object" && path !== null && "next" in path && typeof path.next === "function") return;
  const what = path instanceof Promise ? "a Promise" : typeof path === "object" ? "no generator" : typeof path;
  throw new BusError(
    "BUS_WORK_NO_PATH",
    `waitUntil() was given a function that returns ${what}. Give it a generator function (function* () { yield* … }): the kernel waits for the work, and nobody waits for a Promise`,
    { returned: what },
  );
}

/** A step that does not throw. */
class GuardedStep extends Step {}

/** Lock steps, markers and free choices are the steps package's own and do not throw by themselves. */
function canThrow(step: Step): boolean {
  if (step instanceof GuardedStep || step.choices > 0) return false;
  return step.effect === undefined || (step.effect.kind === "might-sleep" && !isMarker(step));
}
