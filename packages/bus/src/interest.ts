import { eventIndex, MMU_NOTIFY_EVENTS, type MmuNotifyEvent } from "./events.js";

/** Which callback of mmu_notifier_ops a notification stands for. */
export const NOTIFICATION_PHASES = [
  "start",
  "end",
  "invalidate-range",
  "arch-invalidate-secondary-tlbs",
  "change-pte",
  "clear-flush-young",
  "clear-young",
  "test-young",
  "release",
] as const;

/** Which callback of mmu_notifier_ops a notification stands for. */
export type NotificationPhase = (typeof NOTIFICATION_PHASES)[number];

/**
 * A set of (phase, event) pairs, one bit each: 9 for start, 9 for end, then one for each phase without an event. Known when
 * a subscriber joins, so that what it filters never reaches it.
 */
export type Interest = number;

const EVENTS = MMU_NOTIFY_EVENTS.length;
const EVENTLESS = 2 * EVENTS - 2;

/** First of the nine bits of range_start. */
const START_BIT = 0;
/** First of the nine bits of range_end. */
export const END_BIT = EVENTS;
export const ALL_STARTS: Interest = (1 << EVENTS) - 1;
export const ALL_ENDS: Interest = ALL_STARTS << END_BIT;
/** Every phase and event. */
export const ALL: Interest = (1 << (EVENTLESS + NOTIFICATION_PHASES.length)) - 1;

/** The bit number of a phase that has no event. */
export function eventlessBit(phase: NotificationPhase): number {
  return EVENTLESS + NOTIFICATION_PHASES.indexOf(phase);
}

/** The interest in whole phases. */
export function interestInPhases(phases: readonly NotificationPhase[]): Interest {
  let interest = 0;
  for (const phase of phases) {
    if (phase === "start") interest |= ALL_STARTS;
    else if (phase === "end") interest |= ALL_ENDS;
    else interest |= 1 << eventlessBit(phase);
  }
  return interest;
}

/** The interest in start and end of the events. */
export function interestInEvents(events: readonly MmuNotifyEvent[]): Interest {
  let interest = 0;
  for (const event of events) interest |= (1 << (START_BIT + eventIndex(event))) | (1 << (END_BIT + eventIndex(event)));
  return interest;
}

/** The bit of one notification; `event` is undefined for phases that have none. */
export function interestBit(phase: NotificationPhase, event: MmuNotifyEvent | undefined): Interest {
  if (event === undefined) return 1 << eventlessBit(phase);
  return 1 << ((phase === "start" ? START_BIT : END_BIT) + eventIndex(event));
}
