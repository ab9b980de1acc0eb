import type { Observable, OperatorFunction, Subscriber } from "rxjs";
import type { MmuNotifyEvent } from "../events.js";
import type { NotificationPhase } from "../interest.js";
import type { MmuNotification } from "../notification.js";
import { lifted } from "./lifted.js";

/** Notifications of one kind whose ranges touch, as one range. It comes late, so it cannot be answered. */
export interface CoalescedNotification {
  readonly phase: NotificationPhase;
  readonly mm: number;
  readonly event: MmuNotifyEvent | undefined;
  readonly owner: number;
  /** First byte. */
  readonly start: number;
  /** One past the last byte. */
  readonly end: number;
  /** How many notifications were joined, at least 1. */
  readonly count: number;
}

/**
 * Joins consecutive notifications of the same phase, mm, event and owner whose ranges overlap or touch. What was joined is emitted
 * when something that does not fit arrives, when `flush` emits, and when the source completes. For observers: a driver must act
 * while it is called.
 *
 * ```
 * hook[0,1)  hook[1,2)  hook[2,4)  hook[8,9)  flush
 *     coalesced(flush)
 *                                  hook[0,4)  hook[8,9)
 * ```
 *
 * @public
 */
export function coalesced(flush?: Observable<unknown>): OperatorFunction<MmuNotification, CoalescedNotification> {
  return (source) =>
    lifted(source, (subscriber: Subscriber<CoalescedNotification>) => {
      let pending: CoalescedNotification | undefined;
      const emit = (): void => {
        const joined = pending;
        pending = undefined;
        if (joined !== undefined) subscriber.next(joined);
      };
      subscriber.add(flush?.subscribe(emit));
      return source.subscribe({
        next: (n) => {
          if (pending !== undefined && fits(pending, n)) {
            pending = {
              ...pending,
              start: Math.min(pending.start, n.start),
              end: Math.max(pending.end, n.end),
              count: pending.count + 1,
            };
            return;
          }
          emit();
          const { phase, mm, event, owner, start, end } = n;
          pending = { phase, mm, event, owner, start, end, count: 1 };
        },
        error: (error) => subscriber.error(error),
        complete: () => {
          emit();
          subscriber.complete();
        },
      });
    });
}

function fits(pending: CoalescedNotification, n: MmuNotification): boolean {
  return (
    pending.phase === n.phase &&
    pending.mm === n.mm &&
    pending.event === n.event &&
    pending.owner === n.owner &&
    n.start <= pending.end &&
    n.end >= pending.start
  );
}
