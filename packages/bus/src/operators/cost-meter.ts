import { isMarker, nextStep, nextStepAfterThrow, type Path } from "@mmu-notifier/steps";
import { map, type MonoTypeOperatorFunction } from "rxjs";
import type { MmuNotifyEvent } from "../events.js";
import type { NotificationPhase } from "../interest.js";
import type { MmuNotification, NotificationWork } from "../notification.js";
import { ReshapedNotification } from "./reshape.js";

/** What one piece of a subscriber's work took. */
export interface NotificationCost {
  readonly phase: NotificationPhase;
  readonly event: MmuNotifyEvent | undefined;
  readonly start: number;
  readonly end: number;
  /** Steps of the work, markers not counted. */
  readonly steps: number;
  /** Clock units from its first step to its end; 0 without a clock. */
  readonly elapsed: number;
}

/**
 * Passes notifications on and reports what the work that is handed to `waitUntil` takes, piece by piece. Place it last, next to
 * the subscriber. A checker runs work many times, so the figures mean something in straight runs only.
 *
 * ```
 * start(UNMAP)                 work of 3 steps
 *     costMeter(report)
 * start(UNMAP)                 report({ phase: 'start', steps: 3, … })
 * ```
 *
 * @param report - called when a piece of work ends, also when it throws
 * @param clock - time in any unit
 * @public
 */
export function costMeter(
  report: (cost: NotificationCost) => void,
  clock: () => number = () => 0,
): MonoTypeOperatorFunction<MmuNotification> {
  return map((n) => new MeteredNotification(n, report, clock));
}

class MeteredNotification extends ReshapedNotification {
  readonly #report: (cost: NotificationCost) => void;
  readonly #clock: () => number;

  constructor(origin: MmuNotification, report: (cost: NotificationCost) => void, clock: () => number) {
    super(origin, origin.start, origin.end);
    this.#report = report;
    this.#clock = clock;
  }

  override waitUntil(work: NotificationWork): void {
    super.waitUntil(() => this.#measure(work));
  }

  *#measure(work: NotificationWork): Path<unknown> {
    const { phase, event, start, end } = this;
    const begin = this.#clock();
    let steps = 0;
    try {
      const path = work(this);
      let next = nextStep(path, 0);
      while (next.done !== true) {
        if (!isMarker(next.value)) steps++;
        let result: number;
        try {
          result = yield next.value;
        } catch (error) {
          next = nextStepAfterThrow(path, error);
          continue;
        }
        next = nextStep(path, result);
      }
      return next.value;
    } finally {
      this.#report({ phase, event, start, end, steps, elapsed: this.#clock() - begin });
    }
  }
}
