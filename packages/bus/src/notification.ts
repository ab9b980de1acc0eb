import type { Path } from "@mmu-notifier/steps";
import { BusError } from "./errors.js";
import type { MmuNotifyEvent } from "./events.js";
import type { Fault } from "./guarded-work.js";
import type { NotificationPhase } from "./interest.js";
import { MMU_NOTIFIER_RANGE_BLOCKABLE } from "./range.js";

/** What a subscriber does before the bus goes on. */
export type NotificationWork = (notification: MmuNotification) => Path<unknown>;

/**
 * One callback of mmu_notifier_ops, as a value.
 *
 * A callback that asks for no work must not touch shared memory: it may look at the notification and decide. What touches
 * memory goes into {@link waitUntil}. The range is fixed and may be kept; the three methods are valid until the bus
 * goes on to the next subscriber.
 *
 * @public
 */
export interface MmuNotification {
  readonly phase: NotificationPhase;
  /** Number of the mm. */
  readonly mm: number;
  /** First byte; 0 for release. */
  readonly start: number;
  /** One past the last byte; {@link ULONG_MAX} for release. */
  readonly end: number;
  /** Only start and end have one. */
  readonly event: MmuNotifyEvent | undefined;
  readonly flags: number;
  /** 0 is nobody. */
  readonly owner: number;
  /** The new entry (change-pte only). */
  readonly pte: number | undefined;
  /** The work may sleep: true for release and for blockable starts and ends. */
  readonly blockable: boolean;
  /** The current subscriber has asked for work, refused or reported: it does not ignore the notification. */
  readonly acted: boolean;
  /**
   * Hands the bus work that is done before the next subscriber is called; several pieces run in the order given. The work is
   * given this notification, so that one generator function can serve every call: V8 takes 3 us to run a `function*` expression
   * for the first time, which is each time when the callback makes a new one.
   *
   * @throws BusError BUS_NOTIFICATION_OVER when the bus has gone on already
   */
  waitUntil(work: NotificationWork): void;
  /**
   * Answers -EAGAIN to range_start; to be called by the callback or its work. In a blockable start the kernel WARNs.
   *
   * @throws BusError BUS_REFUSE_NOT_ALLOWED in any other phase
   */
  refuse(): void;
  /**
   * Answers "was accessed" to an aging call; to be called by the callback or its work.
   *
   * @throws BusError BUS_YOUNG_NOT_ALLOWED in any other phase
   */
  reportYoung(): void;
}

/** The bus's side of a notification: one object serves all subscribers of a call, one after the other. */
export class Delivery implements MmuNotification {
  readonly phase: NotificationPhase;
  readonly mm: number;
  readonly start: number;
  readonly end: number;
  readonly event: MmuNotifyEvent | undefined;
  readonly flags: number;
  readonly owner: number;
  readonly pte: number | undefined;
  /** The current subscriber wants more than to have been told. */
  attention = false;
  refused = false;
  fault: Fault | undefined = undefined;
  /** Any subscriber of this call was young. */
  young = 0;
  /** Subscribers of this call that refused. */
  refusals = 0;
  /** The first error a subscriber of this call made that nobody took. */
  unclaimed: Error | undefined = undefined;
  /** The same range for the event-less hook, inside a range_end. */
  hook: Delivery | undefined = undefined;
  /** A range_end that undoes a refused start: the kernel does not mark it non-blockable. */
  unwinding = false;
  /** The caller goes on under the SRCU lock when nobody is left. */
  keepLocked = false;
  #open = false;
  #work: NotificationWork[] | undefined = undefined;

  constructor(
    phase: NotificationPhase,
    mm: number,
    start: number,
    end: number,
    event: MmuNotifyEvent | undefined,
    flags: number,
    owner: number,
    pte?: number,
  ) {
    this.phase = phase;
    this.mm = mm;
    this.start = start;
    this.end = end;
    this.event = event;
    this.flags = flags;
    this.owner = owner;
    this.pte = pte;
  }

  get blockable(): boolean {
    return (this.flags & MMU_NOTIFIER_RANGE_BLOCKABLE) !== 0;
  }

  get acted(): boolean {
    return this.attention;
  }

  waitUntil(work: NotificationWork): void {
    this.#check("waitUntil");
    this.attention = true;
    if (this.#work === undefined) this.#work = [work];
    else this.#work.push(work);
  }

  refuse(): void {
    this.#check("refuse");
    if (this.phase !== "start") {
      throw new BusError(
        "BUS_REFUSE_NOT_ALLOWED",
        `refuse() answers range_start only; ${this.phase} has no result. Handle the range or queue the work`,
        {
          phase: this.phase,
        },
      );
    }
    this.refused = true;
    this.attention = true;
  }

  reportYoung(): void {
    this.#check("reportYoung");
    if (this.phase !== "clear-flush-young" && this.phase !== "clear-young" && this.phase !== "test-young") {
      throw new BusError("BUS_YOUNG_NOT_ALLOWED", `reportYoung() answers aging calls only, not ${this.phase}`, {
        phase: this.phase,
      });
    }
    this.young = 1;
    if (this.phase === "test-young") this.attention = true;
  }

  /** Makes the object ready for the next subscriber. */
  open(): void {
    this.#open = true;
    this.attention = false;
    this.refused = false;
    this.fault = undefined;
    this.#work = undefined;
  }

  close(): void {
    this.#open = false;
  }

  get hasWork(): boolean {
    return this.#work !== undefined && this.#work.length > 0;
  }

  /** The next piece of work that the current subscriber asked for. */
  takeWork(): NotificationWork | undefined {
    return this.#work?.shift();
  }

  #check(method: string): void {
    if (!this.#open) {
      throw new BusError(
        "BUS_NOTIFICATION_OVER",
        `${method}() came after the bus had gone on: call it while the callback or its work runs`,
        {
          phase: this.phase,
        },
      );
    }
  }
}
