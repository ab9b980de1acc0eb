import type { Path, Step } from "./step.js";

/** A straight run that is under way: it takes the steps of a called function at once. */
export interface StraightRun {
  /** Runs `path` to its end as the body of `fn`, or as part of the function that the task is in. */
  inside<R>(fn: string | undefined, path: Path<R>): R;
}

let current: StraightRun | undefined;

/**
 * The run that resumes paths now, when it needs to see none of their steps one by one. A `yield*` costs a resume at each
 * level of nesting for each step; a straight run has no use for that, so a called function is run right where it is called.
 */
export function straightRun(): StraightRun | undefined {
  return current;
}

/** Says who resumes paths from now on, and returns who did before. */
export function resumeWith(run: StraightRun | undefined): StraightRun | undefined {
  const before = current;
  current = run;
  return before;
}

/** A run was cut off where no `finally` runs: paths that are resumed from now on are no part of it. */
export function abandonRun(): void {
  current = undefined;
}

/**
 * The next step of a path for code that looks at each step on its way to the runner, and wraps, counts or keeps it. `path.next`
 * may take several steps at once there.
 *
 * @param result what the step before returned
 */
export function nextStep<R>(path: Path<R>, result: number): IteratorResult<Step, R> {
  if (current === undefined) return path.next(result);
  const before = resumeWith(undefined);
  try {
    return path.next(result);
  } finally {
    current = before;
  }
}

/** {@link nextStep} after a step that threw. */
export function nextStepAfterThrow<R>(path: Path<R>, error: unknown): IteratorResult<Step, R> {
  const before = resumeWith(undefined);
  try {
    return path.throw(error);
  } finally {
    current = before;
  }
}
