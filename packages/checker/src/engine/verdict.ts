import { MmuNotifierError } from "@mmu-notifier/steps";
import type { Report } from "./model.js";

/**
 * What went wrong, in the words of the bug museum.
 *
 * @public
 */
export type Verdict =
  | "STALE-USE"
  | "STALE-PERM"
  | "MISSED-RANGE"
  | "LIVELOCK"
  | "STARVATION"
  | "DEADLOCK"
  | "CONTEXT"
  | "UAF"
  | "IMBALANCE"
  | "LOST-WRITE"
  | "LOST-DIRTY"
  | "LOST-YOUNG"
  | "CONTRACT"
  | "ISOLATION"
  | "ORDER"
  | "HANG"
  | "BBM"
  | "COST"
  | "HIDDEN-STATE"
  | "ERROR";

/**
 * Thrown inside a step to say that this very step breaks a rule; the checker turns it into a finding with the shortest
 * interleaving that leads there. Its code is `VERDICT_` and the verdict, with underscores.
 *
 * @public
 */
export class VerdictError extends MmuNotifierError {
  readonly verdict: Verdict;
  /** The object it is about: a TLB entry, a frame, a lock. */
  readonly about: string;

  /** The rule that is broken, in words. */
  readonly rule: string | undefined;

  constructor(verdict: Verdict, about: string, message: string, rule?: string) {
    super(`VERDICT_${verdict.replaceAll("-", "_")}`, message, { verdict, about });
    this.verdict = verdict;
    this.about = about;
    this.rule = rule;
  }
}

/** Ends the step it is called in with `verdict` about `about` ("IOTLB entry of page 3"). */
export function violation(verdict: Verdict, about: string, message: string): never {
  throw new VerdictError(verdict, about, message);
}

const BY_CODE: Readonly<Record<string, Verdict>> = {
  CHECKER_HIDDEN_STATE: "HIDDEN-STATE",
  CHECKER_ENDLESS_ITERATION: "HANG",
  CHECKER_STEP_TIMEOUT: "HANG",
  LOCK_ORDER: "DEADLOCK",
  LOCK_RECURSION: "DEADLOCK",
  LOCK_NOT_HELD: "IMBALANCE",
  LOCK_LEFT_HELD: "IMBALANCE",
  SLEEP_IN_ATOMIC: "CONTEXT",
  SLEEP_IN_NON_BLOCKABLE: "CONTEXT",
  MEMORY_DOUBLE_FREE: "UAF",
  BUS_NOT_ALLOCATED: "UAF",
  BUS_FREE_IN_USE: "UAF",
};

/** The verdict an error that a step or a path threw stands for. */
function verdictOf(error: MmuNotifierError): Verdict {
  return error instanceof VerdictError ? error.verdict : (BY_CODE[error.code] ?? "ERROR");
}

/** What an error says is wrong, of which object. */
export function reportOf(error: MmuNotifierError): Report & { readonly error: MmuNotifierError } {
  const { about, lock, task } = error.details;
  return {
    verdict: verdictOf(error),
    about: typeof about === "string" ? about : String(lock ?? task ?? error.code),
    what: error.message,
    error,
    ...(error instanceof VerdictError && error.rule !== undefined ? { rule: error.rule } : {}),
  };
}
