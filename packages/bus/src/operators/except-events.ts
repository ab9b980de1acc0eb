import type { MonoTypeOperatorFunction } from "rxjs";
import type { MmuNotifyEvent } from "../events.js";
import { ALL, interestInEvents } from "../interest.js";
import type { MmuNotification } from "../notification.js";
import { narrowTo } from "./narrow.js";

/**
 * Drops start and end of the given events; passes everything that has no event.
 *
 * The event-less hook that range_end calls up to v6.5 is not dropped: it does not say why it is called.
 *
 * ```
 * start(UNMAP)  start(UPGRADE)  end(UPGRADE)  invalidate-range
 *     exceptEvents('MMU_NOTIFY_PROTECTION_UPGRADE')
 * start(UNMAP)                                invalidate-range
 * ```
 *
 * Directly on {@link NotifierBus.notifications}: costs nothing, the subscriber is not called.
 *
 * @public
 */
export function exceptEvents(...events: readonly MmuNotifyEvent[]): MonoTypeOperatorFunction<MmuNotification> {
  return narrowTo(ALL & ~interestInEvents(events));
}
