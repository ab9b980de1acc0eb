import { DeadlockError } from "./errors.js";
import { holderOf } from "./lock.js";
import { LockOrder } from "./lock-order.js";
import { isMarker, type Path, type Step } from "./step.js";
import { nextStep, resumeWith } from "./straight-run.js";
import { TaskContext } from "./task-context.js";
import { keepWarm } from "./warm-code.js";

/** Watches every step that runs, for timelines; never takes part. */
export type StepObserver = (task: Task, step: Step, result: number) => void;

/** One thread of control: a path, how far it got, and its context. */
export interface Task {
  /** Lowest free number; what locks record as their holder. */
  readonly id: number;
  readonly name: string;
  readonly context: TaskContext;
  /** The step that comes next, or undefined when the task is done. */
  readonly next: Step | undefined;
  readonly done: boolean;
}

class RunningTask implements Task {
  next: Step | undefined;
  done = false;
  /** Driven by {@link Scheduler.run} itself, not by others. */
  driven = false;
  path: Path<unknown>;

  constructor(
    readonly id: number,
    readonly name: string,
    readonly context: TaskContext,
    readonly again: (() => Path<unknown>) | undefined,
    path: Path<unknown>,
  ) {
    this.path = path;
  }
}

/**
 * The straight runner: runs one path to its end, step after step. When a step has to wait, the other tasks of the machine (a
 * command queue's consumer, a second CPU) take steps until it need not.
 *
 * @public
 */
export class Scheduler {
  readonly lockOrder = new LockOrder();
  readonly #tasks: RunningTask[] = [];
  #observer: StepObserver | undefined;
  #steps = 0;

  /** Steps that were begun so far: whoever looks twice sees whether anything moves. */
  get steps(): number {
    return this.#steps;
  }

  /** Sets the one observer of all steps, or removes it. */
  observe(observer: StepObserver | undefined): void {
    this.#observer = observer;
  }

  get tasks(): readonly Task[] {
    return this.#tasks;
  }

  /**
   * Adds a task that only moves while others wait or {@link settle} is called. With `again`, the path is started anew each
   * time it ends (hardware that serves a queue).
   */
  spawn(name: string, start: () => Path<unknown>, options: { readonly again?: boolean } = {}): Task {
    const task = this.#create(name, start(), options.again === true ? start : undefined);
    this.#tasks.push(task);
    return task;
  }

  /** Removes a task that {@link spawn} added. */
  kill(task: Task): void {
    const index = this.#tasks.indexOf(task as RunningTask);
    if (index >= 0) this.#tasks.splice(index, 1);
  }

  /**
   * Runs `path` as task `name` to its end and returns what it returns.
   *
   * @throws DeadlockError DEADLOCK when it waits and nobody else can move; ContextError and LockOrderError as the steps demand.
   */
  run<R>(path: Path<R>, name = "task"): R {
    const task = this.#create(name, path, undefined);
    task.driven = true;
    this.#tasks.push(task);
    const outer = resumeWith(
      this.#observer === undefined ? { inside: (fn, body) => this.#inside(task, fn, body) } : undefined,
    );
    try {
      const out = this.#drive(task, path);
      task.context.finish();
      return out;
    } finally {
      resumeWith(outer);
      task.done = true;
      this.#tasks.splice(this.#tasks.indexOf(task), 1);
    }
  }

  /** Lets the spawned tasks run until none can move: hardware finishes what it was given. */
  settle(): void {
    while (this.#moveOthers());
  }

  #create(name: string, path: Path<unknown>, again: (() => Path<unknown>) | undefined): RunningTask {
    let id = 0;
    for (let i = 0; i < this.#tasks.length; i++) {
      if (this.#tasks[i]!.id !== id) continue;
      id++;
      i = -1;
    }
    return new RunningTask(id, name, new TaskContext(name, this.lockOrder), again, path);
  }

  /** Takes all steps of a path. */
  #drive<R>(task: RunningTask, path: Path<R>): R {
    const { context } = task;
    for (let value = 0; ;) {
      const { done, value: out } = path.next(value);
      if (done === true) return out;
      context.before(out);
      if (out.ready !== undefined && !out.ready(task.id)) {
        task.next = out;
        this.#waitUntilReady(task, out);
        task.next = undefined;
      }
      keepWarm(out, ++this.#steps);
      value = out.run(task.id);
      context.after(out, value);
      if (this.#observer !== undefined) this.#observer(task, out, value);
    }
  }

  #inside<R>(task: RunningTask, fn: string | undefined, body: Path<R>): R {
    if (fn === undefined) return this.#drive(task, body);
    task.context.enter(fn);
    const out = this.#drive(task, body);
    task.context.leave();
    return out;
  }

  #waitUntilReady(task: RunningTask, wanted: Step): void {
    while (!wanted.ready!(task.id)) {
      if (!this.#moveOthers()) throw this.#deadlock(task, wanted);
    }
  }

  /** One step of each spawned task that can move; false when none could. */
  #moveOthers(): boolean {
    let moved = false;
    for (const task of [...this.#tasks]) {
      if (task.driven || task.done) continue;
      if (this.#advance(task)) moved = true;
    }
    return moved;
  }

  #advance(task: RunningTask): boolean {
    if (task.next === undefined && !this.#fetch(task, 0)) return false;
    const pending = task.next!;
    if (pending.ready !== undefined && !pending.ready(task.id)) return false;
    task.next = undefined;
    this.#steps++;
    const result = pending.run(task.id);
    task.context.after(pending, result);
    this.#observer?.(task, pending, result);
    this.#fetch(task, result);
    return true;
  }

  /** Resumes the generator until its next real step is known; false when the task has ended. */
  #fetch(task: RunningTask, result: number): boolean {
    let value = result;
    for (;;) {
      const { done, value: out } = nextStep(task.path, value);
      if (done === true) {
        task.context.finish();
        if (task.again === undefined) {
          task.done = true;
          this.kill(task);
          return false;
        }
        task.path = task.again();
        value = 0;
        continue;
      }
      task.context.before(out);
      if (!isMarker(out)) {
        task.next = out;
        return true;
      }
      value = out.run(task.id);
      task.context.after(out, value);
      this.#observer?.(task, out, value);
    }
  }

  #deadlock(task: RunningTask, wanted: Step): DeadlockError {
    const waits = [task, ...this.#tasks.filter((other) => other !== task && other.next !== undefined)].map((other) => {
      const waiting = other === task ? wanted : other.next!;
      const effect = waiting.effect;
      const holder =
        effect?.kind === "acquire" ? this.#tasks.find(({ id }) => id === holderOf(effect.lock)) : undefined;
      return `${other.name} waits in ${other.context.path} for ${waiting.label}${holder === undefined ? "" : `, held by ${holder.name}`}`;
    });
    return new DeadlockError("DEADLOCK", `deadlock: ${waits.join("; ")}`, { task: task.name, waits });
  }
}
