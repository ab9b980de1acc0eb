import { enterMarker, LEAVE_MARKER, type Path, type Step } from "./step.js";
import { straightRun } from "./straight-run.js";

const BEFORE = 0;
const ENTERED = 1;
const INSIDE = 2;
/** Cut off by return(): what is left of the body runs, and nobody is told of the end. */
const RETURNING = 3;
const LEAVING = 4;
const DONE = 5;

/**
 * The path of a called function. It is written out instead of a generator: there is one around every call, and for a straight run all
 * that happens is that the body is handed over.
 */
class CalledPath<R> implements Generator<Step, R | undefined, number> {
  readonly #fn: string | undefined;
  readonly #body: Path<R>;
  #state = BEFORE;
  #result: R | undefined = undefined;

  constructor(fn: string | undefined, body: Path<R>) {
    this.#fn = fn;
    this.#body = body;
  }

  next(value: number): IteratorResult<Step, R | undefined> {
    switch (this.#state) {
      case BEFORE: {
        const run = straightRun();
        if (run !== undefined) {
          this.#state = DONE;
          return { done: true, value: run.inside(this.#fn, this.#body) };
        }
        if (this.#fn === undefined) return this.#after(INSIDE, this.#body.next(0));
        this.#state = ENTERED;
        return { done: false, value: enterMarker(this.#fn) };
      }
      case ENTERED:
        return this.#after(INSIDE, this.#body.next(0));
      case INSIDE:
      case RETURNING:
        return this.#after(this.#state, this.#body.next(value));
      case LEAVING:
        this.#state = DONE;
        return { done: true, value: this.#result };
      default:
        return { done: true, value: undefined };
    }
  }

  return(value: R | undefined): IteratorResult<Step, R | undefined> {
    const inside = this.#state === INSIDE || this.#state === RETURNING;
    this.#state = DONE;
    return inside ? this.#after(RETURNING, this.#body.return(value as R)) : { done: true, value };
  }

  throw(error: unknown): IteratorResult<Step, R | undefined> {
    const state = this.#state;
    this.#state = DONE;
    if (state !== INSIDE && state !== RETURNING) throw error;
    return this.#after(state, this.#body.throw(error));
  }

  [Symbol.iterator](): this {
    return this;
  }

  get [Symbol.toStringTag](): string {
    return "Generator";
  }

  /** What the body did when it was resumed in `state`. */
  #after(state: number, did: IteratorResult<Step, R>): IteratorResult<Step, R | undefined> {
    if (did.done !== true) {
      this.#state = state;
      return did;
    }
    if (state === RETURNING || this.#fn === undefined) {
      this.#state = DONE;
      return did;
    }
    this.#state = LEAVING;
    this.#result = did.value;
    return { done: false, value: LEAVE_MARKER };
  }
}

/**
 * Runs `path` as the body of the kernel function `fn`, so that errors and timelines can say how the task got there.
 * Entering and leaving are markers, not steps: nobody is scheduled in between.
 */
export function call<R>(fn: string, path: Path<R>): Path<R> {
  return new CalledPath(fn, path) as Path<R>;
}

/**
 * Runs `path` as a part of the path that it is called in, without a name. It says nothing that `yield* path` does not say; a straight
 * run takes its steps without a resume for each level around them, which is worth it for parts of several steps or levels.
 */
export function inline<R>(path: Path<R>): Path<R> {
  return new CalledPath(undefined, path) as Path<R>;
}

function* none(): Path {}

/** A path of no steps. There is but one, which everybody may call: it has ended before it begins. */
export const NO_STEPS: Path = none();
NO_STEPS.next(0);
