import { ContextError } from "./errors.js";
import type { Lock } from "./lock.js";
import type { LockOrder } from "./lock-order.js";
import type { Step } from "./step.js";

/** A kernel function that a task is in, and the one around it. Nodes are never changed, so a lock may keep the one it was taken in. */
interface Frame {
  readonly fn: string;
  readonly outer: Frame | undefined;
}

interface HeldLock {
  readonly lock: Lock;
  readonly mode: "read" | "write";
  readonly frame: Frame | undefined;
}

/**
 * What a task may do now: the locks it holds, whether preemption is off, whether it is in a non-blockable section, and the
 * kernel functions it is in. It is a function of the task's own steps, so a checker computes it once per local state.
 *
 * @public
 */
export class TaskContext {
  readonly task: string;
  readonly #order: LockOrder;
  readonly #held: HeldLock[] = [];
  #frame: Frame | undefined;
  #spinlocks = 0;
  #preemptOff = 0;
  #nonBlock = 0;

  constructor(task: string, order: LockOrder) {
    this.task = task;
    this.#order = order;
  }

  /** The kernel functions the task is in, outermost first. */
  get functions(): readonly string[] {
    const functions: string[] = [];
    for (let frame = this.#frame; frame !== undefined; frame = frame.outer) functions.unshift(frame.fn);
    return functions;
  }

  /** The functions joined for a message, or the task's name when it is in none. */
  get path(): string {
    return this.#pathOf(this.#frame);
  }

  get heldLocks(): readonly Lock[] {
    return this.#held.map(({ lock }) => lock);
  }

  /** True when sleeping is an error now. */
  get atomic(): boolean {
    return this.#spinlocks > 0 || this.#preemptOff > 0;
  }

  get nonBlockable(): boolean {
    return this.#nonBlock > 0;
  }

  holds(lock: Lock): boolean {
    return this.#held.some(
      (held) => held.lock === lock || (held.lock.segment === lock.segment && held.lock.at === lock.at),
    );
  }

  /** The task enters the kernel function `fn`. */
  enter(fn: string): void {
    this.#frame = { fn, outer: this.#frame };
  }

  /** It leaves the function that it is in. */
  leave(): void {
    this.#frame = this.#frame?.outer;
  }

  /**
   * Checks a step before it is tried: it may not sleep where that is forbidden.
   *
   * @throws ContextError SLEEP_IN_ATOMIC, SLEEP_IN_NON_BLOCKABLE
   */
  before(step: Step): void {
    const { effect } = step;
    if (effect === undefined) return;
    const sleeps =
      effect.kind === "might-sleep" ||
      (effect.kind === "acquire" &&
        !effect.attempt &&
        (effect.lock.class.kind === "mutex" || effect.lock.class.kind === "rwsem"));
    if (sleeps) this.#checkMaySleep(step.label);
  }

  /**
   * Moves the context over a step that ran with `result`.
   *
   * @throws LockOrderError LOCK_ORDER; ContextError LOCK_NOT_HELD, LOCK_RECURSION
   */
  after(step: Step, result: number): void {
    const { effect } = step;
    if (effect === undefined) return;
    switch (effect.kind) {
      case "enter":
        this.enter(effect.fn);
        break;
      case "leave":
        this.leave();
        break;
      case "preempt-disable":
        this.#preemptOff++;
        break;
      case "preempt-enable":
        this.#preemptOff--;
        break;
      case "non-block-start":
        this.#nonBlock++;
        break;
      case "non-block-end":
        this.#nonBlock--;
        break;
      case "acquire":
        if (!effect.attempt || result !== 0) this.#acquire(effect.lock, effect.mode, effect.subclass, effect.attempt);
        break;
      case "release":
        this.#release(effect.lock);
        break;
      case "might-sleep":
        break;
    }
  }

  /**
   * Says what a task that ended left behind.
   *
   * @throws ContextError LOCK_LEFT_HELD
   */
  finish(): void {
    const [left] = this.#held;
    if (left !== undefined) {
      throw new ContextError(
        "LOCK_LEFT_HELD",
        `task ${this.task} ended while it held ${left.lock.name}, taken in ${this.#pathOf(left.frame)}. Release it on every way out`,
        {
          task: this.task,
          lock: left.lock.name,
          path: this.#pathOf(left.frame),
        },
      );
    }
  }

  #pathOf(frame: Frame | undefined): string {
    if (frame === undefined) return this.task;
    let path = frame.fn;
    for (let at = frame.outer; at !== undefined; at = at.outer) path = `${at.fn} -> ${path}`;
    return path;
  }

  #checkMaySleep(what: string): void {
    if (this.atomic) {
      const spinlock = this.#held.find(({ lock }) => lock.class.kind === "spinlock");
      const why =
        spinlock === undefined
          ? "with preemption off"
          : `under ${spinlock.lock.name}, taken in ${this.#pathOf(spinlock.frame)}`;
      throw new ContextError(
        "SLEEP_IN_ATOMIC",
        `sleeping function called from invalid context: task ${this.task} in ${this.path} calls ${what} ${why}. Drop the spinlock first`,
        { task: this.task, path: this.path, call: what, lock: spinlock?.lock.name },
      );
    }
    if (this.nonBlockable) {
      throw new ContextError(
        "SLEEP_IN_NON_BLOCKABLE",
        `task ${this.task} in ${this.path} calls ${what}, which may sleep, in a non-blockable section. Refuse with -EAGAIN instead`,
        { task: this.task, path: this.path, call: what },
      );
    }
  }

  #acquire(lock: Lock, mode: "read" | "write", subclass: number, attempt: boolean): void {
    for (const held of this.#held) {
      if (held.lock.class === lock.class) {
        if (lock.class.kind === "map" || subclass > 0 || attempt || (mode === "read" && held.mode === "read")) continue;
        throw new ContextError(
          "LOCK_RECURSION",
          `task ${this.task} in ${this.path} takes ${lock.name} while it holds ${held.lock.name} of the same class, taken in ${this.#pathOf(held.frame)}. Say in which order they nest with a subclass`,
          { task: this.task, path: this.path, lock: lock.name, held: held.lock.name },
        );
      }
      if (!attempt && !this.#order.knows(held.lock.class, lock.class))
        this.#order.record(held.lock.class, lock.class, this.task, this.path);
    }
    this.#held.push({ lock, mode, frame: this.#frame });
    if (lock.class.kind === "spinlock") this.#spinlocks++;
  }

  #release(lock: Lock): void {
    for (let i = this.#held.length - 1; i >= 0; i--) {
      const held = this.#held[i]!.lock;
      if (held !== lock && (held.segment !== lock.segment || held.at !== lock.at || held.class !== lock.class))
        continue;
      if (i === this.#held.length - 1) this.#held.pop();
      else this.#held.splice(i, 1);
      if (lock.class.kind === "spinlock") this.#spinlocks--;
      return;
    }
    throw new ContextError(
      "LOCK_NOT_HELD",
      `task ${this.task} in ${this.path} releases ${lock.name}, which it does not hold`,
      {
        task: this.task,
        path: this.path,
        lock: lock.name,
      },
    );
  }
}
