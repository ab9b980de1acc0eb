import {
  isMarker,
  type Lock,
  type LockOrder,
  MmuNotifierError,
  type Path,
  type Step,
  TaskContext,
} from "@mmu-notifier/steps";
import { HiddenStateError, ModelError } from "./errors.js";
import type { Iteration, TaskModel } from "./model.js";

/** One local state of a task: where it is, as a function of its locals and the results so far. */
export interface Node {
  readonly id: number;
  /** What it does next; undefined when the task is over. */
  step: Step | undefined;
  run: (task: number) => number;
  ready: ((task: number) => boolean) | undefined;
  /** The generator that waits with that step. */
  at: Run | undefined;
  readonly choices: number;
  readonly locals: readonly number[];
  /** Results of the steps taken in this iteration. */
  readonly log: readonly number[];
  /** The local state before; undefined at the start of an iteration. */
  readonly parent: Node | undefined;
  /** The kernel functions it is in. */
  readonly functions: readonly string[];
  readonly held: readonly Lock[];
  /** What its context forbids about the next step, or what its path threw. */
  readonly fault: MmuNotifierError | undefined;
  /** Its step was run twice and did the same both times. */
  audited: boolean;
  /** Next node by result, for small results; -1 is not known yet. */
  readonly small: Int32Array;
  /** Next node by result, for all others. */
  readonly large: Map<number, number>;
}

/** A generator that stands at a node. */
interface Run {
  readonly path: Path<Iteration>;
  readonly context: TaskContext;
  /** The step it waits with, once it has yielded one. */
  pending: Step | undefined;
  over: boolean;
  next: Iteration;
}

/** Longest iteration, in steps, before it is taken for an endless loop. */
const LONGEST_ITERATION = 2000;
const SMALL = 16;
const nothing = (): number => 0;

/**
 * The automaton of one task, grown as the search needs it: the first time a (locals, results) pair is seen the generator runs
 * over those results once and its pending step is kept, with that generator, for good; afterwards (node, result) to next node is a
 * table look-up.
 */
export class Automaton {
  readonly task: TaskModel;
  readonly nodes: Node[] = [];
  /** First node of an iteration, by its locals. */
  readonly #first = new Map<string, number>();
  readonly #order: LockOrder;
  /** Times a generator was started. */
  runs = 0;
  /** Iterations that are being begun inside each other. */
  #nested = 0;

  constructor(task: TaskModel, order: LockOrder) {
    this.task = task;
    this.#order = order;
  }

  /** The node of an iteration that starts with `locals`; the task's first iteration if there are none. */
  begin(locals: readonly number[] = this.task.locals ?? []): number {
    const key = locals.join();
    const known = this.#first.get(key);
    if (known !== undefined) {
      if (known < 0) throw this.#endless("its iterations return to each other without a step between them");
      return known;
    }
    if (this.#nested >= LONGEST_ITERATION / 10) throw this.#endless("its iterations end without a step between them");
    this.#first.set(key, -1);
    this.#nested++;
    let run: Run | undefined;
    let thrown: MmuNotifierError | undefined;
    try {
      run = this.#start(locals);
    } catch (error) {
      thrown = this.#attribute(error, undefined);
    }
    const id = this.#add(locals, [], undefined, run, thrown);
    this.#nested--;
    this.#first.set(key, id);
    return id;
  }

  /** The node after `node`'s step gave `result`. */
  advance(node: Node, result: number): number {
    if (result >= 0 && result < SMALL) {
      const known = node.small[result]!;
      return known >= 0 ? known : (node.small[result] = this.#follow(node, result));
    }
    let next = node.large.get(result);
    if (next === undefined) {
      next = this.#follow(node, result);
      node.large.set(result, next);
    }
    return next;
  }

  /** Runs every generator once more over its results: nothing but them may decide what comes next. */
  audit(): HiddenStateError | undefined {
    const inner = new Set(this.nodes.map(({ parent }) => parent));
    for (const node of this.nodes) {
      const last = node.fault === undefined ? node : node.parent;
      // A run to a node passes all nodes before it.
      if (inner.has(node) || last === undefined) continue;
      try {
        this.#rerun(last);
      } catch (error) {
        return error instanceof HiddenStateError ? error : this.#hidden(last, `threw ${String(error)}`);
      }
    }
    return undefined;
  }

  #follow(node: Node, result: number): number {
    const log = [...node.log, result];
    let run: Run | undefined;
    if (!Number.isSafeInteger(result)) {
      const label = node.step!.label;
      throw new ModelError(
        "CHECKER_RESULT",
        `step "${label}" of task ${this.task.name} returned ${String(result)}. A step returns an integer; leave anything else in memory`,
        {
          task: this.task.name,
          step: label,
        },
      );
    }
    try {
      // The generator whose step has just run goes on, and may know why it failed; another takes its place, since what this one
      // changes on its way must not reach the step that is kept.
      run = node.at!;
      this.#replace(node);
      this.#resume(run, result);
    } catch (error) {
      return this.#add(node.locals, log, node, run, this.#attribute(error, run));
    }
    return this.#add(node.locals, log, node, run);
  }

  /** Gives a node the step of a generator that nobody has resumed. */
  #replace(node: Node): void {
    node.at = this.#rerun(node);
    node.step = node.at.pending;
    node.run = node.step?.run ?? nothing;
    node.ready = node.step?.ready;
  }

  /** A generator brought to `node` again; every step on the way must be the one it was. */
  #rerun(node: Node): Run {
    const way: Node[] = [];
    for (let at: Node | undefined = node; at !== undefined; at = at.parent) way.unshift(at);
    const run = this.#start(node.locals);
    way.forEach((at, i) => {
      if (!sameStep(run.pending, at.step)) throw this.#hidden(at, describe(run.pending));
      if (i < node.log.length) this.#resume(run, node.log[i]!);
    });
    return run;
  }

  #start(locals: readonly number[]): Run {
    this.runs++;
    const run: Run = {
      path: this.task.start(...locals),
      context: new TaskContext(this.task.name, this.#order),
      pending: undefined,
      over: false,
      next: undefined,
    };
    this.#pull(run, 0);
    return run;
  }

  #resume(run: Run, result: number): void {
    run.context.after(run.pending!, result);
    this.#pull(run, result);
  }

  /** Runs to the next real step, or to the end of the iteration. */
  #pull(run: Run, result: number): void {
    let value = result;
    for (let markers = 0; markers < LONGEST_ITERATION; markers++) {
      const { done, value: out } = run.path.next(value);
      if (done === true) {
        run.pending = undefined;
        run.over = true;
        run.next = out;
        run.context.finish();
        return;
      }
      run.context.before(out);
      if (!isMarker(out)) {
        run.pending = out;
        return;
      }
      value = 0;
      run.context.after(out, value);
    }
    throw this.#endless(`it yielded ${LONGEST_ITERATION} markers without a step`);
  }

  #add(
    locals: readonly number[],
    log: readonly number[],
    parent: Node | undefined,
    run: Run | undefined,
    thrown?: MmuNotifierError,
  ): number {
    if (thrown === undefined && run!.over && run!.next !== null && run!.next !== undefined) {
      try {
        return this.begin(run!.next);
      } catch (error) {
        return this.#add(locals, log, parent, run, this.#attribute(error, run));
      }
    }
    let fault = thrown;
    if (log.length > LONGEST_ITERATION) {
      const last = `the last ${describe(run?.pending)} in ${run?.context.functions.at(-1) ?? this.task.name}`;
      fault ??= this.#endless(`it took ${LONGEST_ITERATION} steps in one iteration, ${last}`);
    }
    const step = fault === undefined ? run?.pending : undefined;
    const node: Node = {
      id: this.nodes.length,
      step,
      run: step?.run ?? nothing,
      ready: step?.ready,
      at: step === undefined ? undefined : run,
      choices: step?.choices ?? 0,
      locals,
      log,
      parent,
      functions: [...(run?.context.functions ?? [])],
      held: [...(run?.context.heldLocks ?? [])],
      fault,
      audited: false,
      small: new Int32Array(SMALL).fill(-1),
      large: new Map(),
    };
    this.nodes.push(node);
    return node.id;
  }

  #attribute(error: unknown, run: Run | undefined): MmuNotifierError {
    if (error instanceof MmuNotifierError) return error;
    const where = run === undefined ? this.task.name : run.context.path;
    return new ModelError(
      "CHECKER_PATH_THREW",
      `task ${this.task.name} threw between two steps in ${where}: ${String(error)}`,
      {
        task: this.task.name,
        path: where,
      },
      { cause: error },
    );
  }

  #endless(why: string): ModelError {
    return new ModelError(
      "CHECKER_ENDLESS_ITERATION",
      `task ${this.task.name} does not come to the end of an iteration: ${why}. A driver waits with spinUntil(); a task returns the locals of its next round instead of looping`,
      { task: this.task.name },
    );
  }

  #hidden(node: Node, now: string): HiddenStateError {
    return new HiddenStateError(
      "CHECKER_HIDDEN_STATE",
      `task ${this.task.name} in ${node.functions.join(" -> ") || this.task.name} yielded ${describe(node.step)} and, run again over the same results [${node.log.join(", ")}], ${now}. ` +
        `It keeps state outside the memory: let a step read it, or pass it through the locals`,
      { task: this.task.name, first: describe(node.step), again: now },
    );
  }
}

function describe(step: Step | undefined): string {
  return step === undefined ? "its end" : `"${step.label}"`;
}

function sameStep(a: Step | undefined, b: Step | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.label === b.label && a.choices === b.choices && (a.ready === undefined) === (b.ready === undefined);
}
