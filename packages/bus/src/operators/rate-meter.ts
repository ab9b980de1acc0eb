import type { OperatorFunction, Subscriber } from "rxjs";
import type { MmuNotification } from "../notification.js";
import { lifted } from "./lifted.js";

/** What arrived in one window of time. Times are in the units of the clock. */
export interface NotificationRate {
  readonly from: number;
  /** One past the end of the window. */
  readonly to: number;
  readonly count: number;
  /** Bytes of all ranges; an unlimited range counts as 2^64. */
  readonly bytes: number;
  /** Notifications per unit of the clock. */
  readonly rate: number;
}

/**
 * Counts notifications in consecutive windows of `window` clock units and emits each window that had any, when the first
 * notification after it arrives or the source completes. There is no timer: time is what `clock` says.
 *
 * ```
 * t=0  t=3  t=9  t=14
 *     rateMeter({ window: 10, clock })
 *                {0..10: 3}
 * ```
 *
 * @public
 */
export function rateMeter(options: {
  readonly window: number;
  readonly clock: () => number;
}): OperatorFunction<MmuNotification, NotificationRate> {
  const { window, clock } = options;
  return (source) =>
    lifted(source, (subscriber: Subscriber<NotificationRate>) => {
      let from = 0;
      let count = 0;
      let bytes = 0;
      const emit = (): void => {
        if (count > 0) subscriber.next({ from, to: from + window, count, bytes, rate: count / window });
        count = 0;
        bytes = 0;
      };
      return source.subscribe({
        next: (n) => {
          const begin = Math.floor(clock() / window) * window;
          if (begin !== from) {
            emit();
            from = begin;
          }
          count++;
          bytes += n.end - n.start;
        },
        error: (error) => subscriber.error(error),
        complete: () => {
          emit();
          subscriber.complete();
        },
      });
    });
}
