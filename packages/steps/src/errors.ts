/** What an error is about, by name, for programs that read it. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/**
 * Base of every error this project throws on purpose.
 *
 * `code` is stable and listed in docs/reference/errors.md; `message` says what was being done, the value that was wrong,
 * the rule, and what to do.
 *
 * @public
 */
export class MmuNotifierError extends Error {
  readonly code: string;
  readonly details: ErrorDetails;

  constructor(code: string, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }
}

/** A task did what its context forbids: slept under a spinlock, in a non-blockable callback, released a lock it does not hold. */
export class ContextError extends MmuNotifierError {}

/** Two lock classes were taken in both orders, or a lock of the callbacks is held across an allocation that may reclaim. */
export class LockOrderError extends MmuNotifierError {}

/** No task can take its next step. */
export class DeadlockError extends MmuNotifierError {}

/** The modelled memory was used wrongly: a row that is not allocated, a table that is full. */
export class MemoryError extends MmuNotifierError {}
