import type { Machine } from "@mmu-notifier/machine";
import { isHeld } from "@mmu-notifier/steps";
import type { ThreadStates } from "./thread-states.js";

/** Nobody is in a call that changes address spaces, a device's fault included: every promise is due. */
export function isQuiet({ kernel }: Machine, states: ThreadStates): boolean {
  if (!states.quiet) return false;
  const { mms } = kernel;
  for (let mm = 1; mm < mms.segment.used; mm++) if (mms.isLive(mm) && isHeld(mms.mmapLock(mm))) return false;
  return true;
}
