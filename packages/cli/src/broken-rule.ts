import { ContextError, DeadlockError, LockOrderError } from "@mmu-notifier/steps";

/** A rule of the kernel that a path broke: a finding about the kernel or a driver, not about the input. */
export interface BrokenRule {
  /** In the words of the checker. */
  readonly verdict: "CONTEXT" | "DEADLOCK" | "HANG";
  /** Code of the check that noticed, for instance `SLEEP_IN_ATOMIC`. */
  readonly code: string;
  /** Task, lock and kernel path. */
  readonly message: string;
}

/** What an error says about the kernel's rules, if that is what it is about. */
export function brokenRuleOf(error: unknown): (BrokenRule & { readonly verdict: "CONTEXT" | "DEADLOCK" }) | undefined {
  if (!(error instanceof ContextError || error instanceof LockOrderError || error instanceof DeadlockError))
    return undefined;
  const { code, message } = error;
  return { verdict: error instanceof ContextError ? "CONTEXT" : "DEADLOCK", code, message };
}
