import type { MmuNotifyEvent } from "../events.js";
import type { NotificationPhase } from "../interest.js";
import type { MmuNotification, NotificationWork } from "../notification.js";

/** A notification with another range; its answers go to the one it was made from. */
export class ReshapedNotification implements MmuNotification {
  readonly phase: NotificationPhase;
  readonly mm: number;
  readonly start: number;
  readonly end: number;
  readonly event: MmuNotifyEvent | undefined;
  readonly flags: number;
  readonly owner: number;
  readonly pte: number | undefined;
  readonly blockable: boolean;
  readonly #origin: MmuNotification;

  constructor(origin: MmuNotification, start: number, end: number) {
    this.phase = origin.phase;
    this.mm = origin.mm;
    this.start = start;
    this.end = end;
    this.event = origin.event;
    this.flags = origin.flags;
    this.owner = origin.owner;
    this.pte = origin.pte;
    this.blockable = origin.blockable;
    this.#origin = origin;
  }

  get acted(): boolean {
    return this.#origin.acted;
  }

  waitUntil(work: NotificationWork): void {
    this.#origin.waitUntil(() => work(this));
  }

  refuse(): void {
    this.#origin.refuse();
  }

  reportYoung(): void {
    this.#origin.reportYoung();
  }
}

/** The same notification for [start, end). */
export function reshaped(notification: MmuNotification, start: number, end: number): MmuNotification {
  return start === notification.start && end === notification.end
    ? notification
    : new ReshapedNotification(notification, start, end);
}
