import { runInNewContext } from "node:vm";

/**
 * Runs `work`, which a timer of Node interrupts even in the middle of an endless loop.
 *
 * @param milliseconds limit of real time.
 * @returns false when it was interrupted.
 */
export function withinTime(work: () => void, milliseconds: number): boolean {
  try {
    runInNewContext("work()", { work }, { timeout: milliseconds });
    return true;
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return false;
    throw error;
  }
}
