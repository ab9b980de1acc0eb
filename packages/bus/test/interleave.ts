import { isMarker, LockOrder, type Memory, type Path, type Step, TaskContext } from "@mmu-notifier/steps";

/** One thread of a test. */
export interface Thread {
  readonly name: string;
  readonly run: () => Path<unknown>;
}

interface Running {
  readonly id: number;
  readonly name: string;
  readonly path: Path<unknown>;
  readonly context: TaskContext;
  next: Step | undefined;
  /** Results so far: with the memory, the whole state of the task. */
  log: string;
}

/** Threads whose steps are put in any order that the test chooses. */
class Interleaving {
  readonly #tasks: Running[];
  readonly trace: string[] = [];

  constructor(threads: readonly Thread[]) {
    const order = new LockOrder();
    this.#tasks = threads.map(({ name, run }, id) => ({
      id,
      name,
      path: run(),
      context: new TaskContext(name, order),
      next: undefined,
      log: "",
    }));
    for (const task of this.#tasks) this.#fetch(task, 0);
  }

  /** The threads that can take a step now. */
  get runnable(): readonly number[] {
    return this.#tasks.filter(({ id, next }) => next !== undefined && (next.ready?.(id) ?? true)).map(({ id }) => id);
  }

  get finished(): boolean {
    return this.#tasks.every(({ next }) => next === undefined);
  }

  /** The threads that have not ended, with what they wait for. */
  get pending(): readonly string[] {
    return this.#tasks.filter(({ next }) => next !== undefined).map(({ name, next }) => `${name}: ${next!.label}`);
  }

  /** The local states of all threads. */
  get locals(): string {
    return this.#tasks.map(({ log }) => log).join("|");
  }

  /** Thread `id` takes its next step; returns what it was. */
  step(id: number): string {
    const task = this.#tasks[id]!;
    const step = task.next!;
    const result = step.run(id);
    this.trace.push(`${task.name}: ${step.label}`);
    task.context.after(step, result);
    this.#fetch(task, result);
    return step.label;
  }

  #fetch(task: Running, result: number): void {
    let value = result;
    for (;;) {
      task.log += `${value},`;
      const { done, value: out } = task.path.next(value);
      if (done === true) {
        task.next = undefined;
        task.context.finish();
        return;
      }
      task.context.before(out);
      if (!isMarker(out)) {
        task.next = out;
        return;
      }
      value = out.run(task.id);
      task.context.after(out, value);
    }
  }
}

/** Runs threads to the end; `choose` picks among the runnable. Returns what is left when nobody can move. */
export function interleave(
  threads: readonly Thread[],
  choose: (runnable: readonly number[]) => number,
  afterEach: (id: number, label: string) => void = () => undefined,
): { readonly stuck: readonly string[]; readonly trace: readonly string[] } {
  const run = new Interleaving(threads);
  for (;;) {
    const { runnable } = run;
    if (runnable.length === 0) return { stuck: run.finished ? [] : run.pending, trace: run.trace };
    const id = runnable[choose(runnable) % runnable.length]!;
    const label = run.step(id);
    afterEach(id, label);
  }
}

/** A small deterministic source of choices. */
export function choices(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>>= 0);
  };
}

/** What one visited state of {@link explore} looks like. */
export interface Visited {
  readonly run: Interleaving;
  readonly depth: number;
}

/**
 * Visits every interleaving of a small scenario, breadth first, and returns the number of states. `build` makes the scenario anew;
 * `visit` returns true to stop there.
 */
export function explore<S>(
  build: () => { readonly memory: Memory; readonly threads: readonly Thread[]; readonly scenario: S },
  visit: (state: Visited, scenario: S) => boolean,
  limit = 20_000,
): { readonly states: number; readonly found: readonly string[] | undefined } {
  const seen = new Set<string>();
  let frontier: number[][] = [[]];
  while (frontier.length > 0) {
    const next: number[][] = [];
    for (const schedule of frontier) {
      const { memory, threads, scenario } = build();
      const run = new Interleaving(threads);
      for (const id of schedule) run.step(id);
      const key = `${run.locals}#${memory.save().join()}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > limit) throw new Error(`more than ${limit} states`);
      if (visit({ run, depth: schedule.length }, scenario)) return { states: seen.size, found: run.trace };
      for (const id of run.runnable) next.push([...schedule, id]);
    }
    frontier = next;
  }
  return { states: seen.size, found: undefined };
}
