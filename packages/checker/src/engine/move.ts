import { ModelError } from "./errors.js";

/** A task's move in one number: the task and, for a free choice, what it chose. */
export type Move = number;

const TASK_BITS = 6;
const MOST_CHOICES = 1 << 9;

/** Tasks a model may have. */
export const MOST_TASKS = 1 << TASK_BITS;

export function move(task: number, choice: number): Move {
  return task | (choice << TASK_BITS);
}

export function taskOf(m: Move): number {
  return m & (MOST_TASKS - 1);
}

export function choiceOf(m: Move): number {
  return m >> TASK_BITS;
}

/** Refuses a choice with more alternatives than a move can name. */
export function checkChoices(choices: number, task: string, label: string): void {
  if (choices > MOST_CHOICES) {
    throw new ModelError(
      "CHECKER_TOO_MANY_CHOICES",
      `task ${task} chooses between ${choices} alternatives in "${label}"; at most ${MOST_CHOICES} are possible. Choose in two steps`,
      { task, label, choices },
    );
  }
}
