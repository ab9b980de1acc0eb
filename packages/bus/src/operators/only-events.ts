import type { MonoTypeOperatorFunction } from "rxjs";
import type { MmuNotifyEvent } from "../events.js";
import { interestInEvents } from "../interest.js";
import type { MmuNotification } from "../notification.js";
import { narrowTo } from "./narrow.js";

/**
 * Passes start and end of the given events and nothing else: neither the hook, nor aging, nor release.
 *
 * ```
 * start(UNMAP)  start(CLEAR)  end(CLEAR)  end(UNMAP)  release
 *     onlyEvents('MMU_NOTIFY_UNMAP')
 * start(UNMAP)                            end(UNMAP)
 * ```
 *
 * Directly on {@link NotifierBus.notifications}: costs nothing, the subscriber is not called.
 *
 * @public
 */
export function onlyEvents(...events: readonly MmuNotifyEvent[]): MonoTypeOperatorFunction<MmuNotification> {
  return narrowTo(interestInEvents(events));
}
