import { runInNewContext } from "node:vm";
import { abandonRun } from "@mmu-notifier/steps";

/**
 * Runs `work`, which a timer of Node interrupts even in the middle of an endless loop. Nothing that it was in the middle of can go on
 * afterwards: no `finally` has run, and a machine that it worked on is good for looking at only.
 *
 * @param milliseconds limit of real time; undefined is none
 * @returns false when it was interrupted
 * @public
 */
export function withinTime(work: () => void, milliseconds: number | undefined): boolean {
  if (milliseconds === undefined) {
    work();
    return true;
  }
  try {
    runInNewContext("work()", { work }, { timeout: milliseconds });
    return true;
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    abandonRun();
    return false;
  }
}
