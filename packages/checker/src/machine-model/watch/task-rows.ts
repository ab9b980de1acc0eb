import type { Machine } from "@mmu-notifier/machine";
import type { Segment } from "@mmu-notifier/steps";

/** Ranges that one task may have announced at a time, one in another. */
export const DEPTH = 3;

const COMMANDS = 1;
const RANGES = 2;
const STRIDE = RANGES + DEPTH + 1;

/** A few words for each task of a model. */
export class TaskRows {
  readonly tasks: number;
  readonly #segment: Segment;

  constructor({ memory }: Machine, tasks: number) {
    this.tasks = tasks;
    const segment = memory.segment("tasks", STRIDE, tasks);
    for (let task = 0; task < tasks; task++) segment.alloc();
    this.#segment = segment;
  }

  /** Words of all tasks; see {@link commands} and {@link range}. */
  get words(): Int32Array {
    return this.#segment.i32;
  }

  /** Word that counts the commands of the callback that a task is in. */
  commands(task: number): number {
    return (task + 1) * STRIDE + COMMANDS;
  }

  /** Word of the range that a task announced when it had announced `depth` others. */
  range(task: number, depth: number): number {
    return (task + 1) * STRIDE + RANGES + depth;
  }
}
