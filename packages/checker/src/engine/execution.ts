import { isMarker, LockOrder, MmuNotifierError, type Path, type Step, TaskContext } from "@mmu-notifier/steps";
import { checkChoices, choiceOf, type Move, move, taskOf } from "./move.js";
import { ModelError } from "./errors.js";
import type { Iteration, Model, Report, TaskModel } from "./model.js";
import { createStore } from "./stores.js";
import { reportOf } from "./verdict.js";

/** Markers or empty iterations in a row before a task is taken for endless. */
const LONGEST_RUN = 2000;

/** A task of an execution: its generator, which is never run again. */
class LiveTask {
  readonly task: TaskModel;
  /** The step it waits with; undefined when it is over. */
  pending: Step | undefined;
  /** It has taken no step of this iteration. */
  atHead = true;
  readonly context: TaskContext;
  #path: Path<Iteration>;

  constructor(task: TaskModel, order: LockOrder) {
    this.task = task;
    this.context = new TaskContext(task.name, order);
    this.#path = task.start(...(task.locals ?? []));
  }

  /** Runs to the next step, through the ends of iterations. */
  pull(result: number): void {
    let value = result;
    for (let turns = 0; turns < LONGEST_RUN; turns++) {
      const { done, value: out } = this.#path.next(value);
      value = 0;
      if (done === true) {
        this.context.finish();
        if (out === null || out === undefined) {
          this.pending = undefined;
          return;
        }
        this.#path = this.task.start(...out);
        this.atHead = true;
        continue;
      }
      this.context.before(out);
      if (!isMarker(out)) {
        this.pending = out;
        return;
      }
      this.context.after(out, 0);
    }
    throw new ModelError("CHECKER_ENDLESS_ITERATION", `task ${this.task.name} goes on without a step`, {
      task: this.task.name,
    });
  }

  /** Goes on with the result of the step it waited with. */
  resume(result: number): void {
    this.context.after(this.pending!, result);
    this.atHead = false;
    this.pull(result);
  }
}

/** One execution of a model: its tasks run on, nothing is stored and nothing is run twice. */
export class Execution {
  readonly model: Model;
  readonly #tasks: readonly LiveTask[];
  #broken: MmuNotifierError | undefined;

  constructor(model: Model) {
    this.model = model;
    const order = new LockOrder();
    // The memory of a model lives in a store, also where no state is kept.
    createStore(model.state, model.tasks.length);
    this.#tasks = model.tasks.map((task) => new LiveTask(task, order));
    for (const live of this.#tasks) this.#guarded(live, () => live.pull(0));
  }

  /** The moves that are possible now. */
  moves(): Move[] {
    return this.#tasks.flatMap(({ pending, task }, t) => {
      if (pending === undefined) return [];
      if (pending.choices > 0) {
        checkChoices(pending.choices, task.name, pending.label);
        return Array.from({ length: pending.choices }, (_, choice) => move(t, choice));
      }
      return pending.ready === undefined || pending.ready(t) ? [move(t, 0)] : [];
    });
  }

  /**
   * Makes a move that is possible, and says what is wrong after it.
   *
   * @returns false when there is no way on: somebody threw.
   */
  take(m: Move, note: (report: Report) => void): boolean {
    const t = taskOf(m);
    const live = this.#tasks[t]!;
    const { pending } = live;
    this.#guarded(live, () => live.resume(pending!.choices > 0 ? choiceOf(m) : pending!.run(t)));
    return this.lookAround(note);
  }

  /** Says what is wrong now; false when somebody threw. */
  lookAround(note: (report: Report) => void): boolean {
    if (this.#broken !== undefined) {
      note(reportOf(this.#broken));
      return false;
    }
    this.#inspect(note);
    return true;
  }

  #inspect(note: (report: Report) => void): void {
    for (const { holds, name, verdict = "CONTRACT" } of this.model.invariants ?? [])
      if (!holds()) note({ verdict, about: name, what: `"${name}" does not hold` });
    for (const report of this.model.reports?.() ?? []) note(report);
    if (this.moves().length > 0) return;
    const stuck = this.#tasks.filter(
      ({ task, pending, atHead }) => pending !== undefined && !(task.serves === true && atHead),
    );
    const [first] = stuck;
    if (first === undefined) return;
    note({
      verdict: stuck.some(({ pending }) => pending!.effect === undefined) ? "HANG" : "DEADLOCK",
      about: first.pending!.label,
      what: stuck.map(({ task, pending }) => `${task.name} waits for ${pending!.label}`).join("; "),
    });
  }

  #guarded(live: LiveTask, work: () => void): void {
    try {
      work();
    } catch (error) {
      live.pending = undefined;
      this.#broken ??=
        error instanceof MmuNotifierError
          ? error
          : new ModelError(
              "CHECKER_PATH_THREW",
              `task ${live.task.name} threw in ${live.context.path}: ${String(error)}`,
              {
                task: live.task.name,
              },
              { cause: error },
            );
    }
  }
}
