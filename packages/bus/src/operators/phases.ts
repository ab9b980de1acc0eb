import type { MonoTypeOperatorFunction } from "rxjs";
import { interestInPhases, type NotificationPhase } from "../interest.js";
import type { MmuNotification } from "../notification.js";
import { narrowTo } from "./narrow.js";

/**
 * Passes the given phases: which members of mmu_notifier_ops the driver has.
 *
 * ```
 * start  invalidate-range  end  release
 *     phases('start', 'release')
 * start                         release
 * ```
 *
 * Directly on {@link NotifierBus.notifications}: costs nothing, the subscriber is not called.
 *
 * @public
 */
export function phases(...wanted: readonly NotificationPhase[]): MonoTypeOperatorFunction<MmuNotification> {
  return narrowTo(interestInPhases(wanted));
}
