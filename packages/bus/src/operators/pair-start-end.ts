import type { OperatorFunction, Subscriber } from "rxjs";
import type { MmuNotification } from "../notification.js";
import { lifted } from "./lifted.js";

/** An invalidation from its start to its end. */
export interface NotificationWindow {
  readonly start: MmuNotification;
  /** May still be answered: the window is emitted while its end is delivered. */
  readonly end: MmuNotification;
  /** Windows of the same mm that were open when this one ended, itself not counted. */
  readonly stillOpen: number;
}

/**
 * Pairs each end with the latest open start of the same mm, range, event and owner; emits the pair when the end arrives. An end
 * without a start, and every other phase, is dropped. Keeps the open starts, so it is for observers and straight runs.
 *
 * ```
 * start(A)  start(B)  end(B)          end(A)
 *     pairStartEnd()
 *                     {B, open 1}     {A, open 0}
 * ```
 *
 * @public
 */
export function pairStartEnd(): OperatorFunction<MmuNotification, NotificationWindow> {
  return (source) =>
    lifted(source, (subscriber: Subscriber<NotificationWindow>) => {
      const open: MmuNotification[] = [];
      return source.subscribe({
        next: (n) => {
          if (n.phase === "start") open.push(n);
          if (n.phase !== "end") return;
          const at = open.findLastIndex(
            (s) =>
              s.mm === n.mm && s.start === n.start && s.end === n.end && s.event === n.event && s.owner === n.owner,
          );
          if (at < 0) return;
          const [start] = open.splice(at, 1);
          subscriber.next({ start: start!, end: n, stillOpen: open.filter(({ mm }) => mm === n.mm).length });
        },
        error: (error) => subscriber.error(error),
        complete: () => subscriber.complete(),
      });
    });
}
