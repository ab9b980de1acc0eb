import type { Path, Step } from "@mmu-notifier/steps";
import { FIRST_CHAIN, INTERVALS_PASSED, NO_NOTIFIERS } from "./entered.js";
import type { MmuNotifyEvent } from "./events.js";
import { HandWrittenPath, yielded } from "./hand-written-path.js";
import type { NotificationPhase } from "./interest.js";
import type { ListDelivery } from "./list-delivery.js";
import { MAP_ACQUIRE, MAP_RELEASE } from "./lock-map.js";
import { Delivery } from "./notification.js";
import type { BusCall } from "./observers.js";
import { Walk } from "./walk.js";

/** Detours of a call that are rare enough for generators. */
export interface Detours {
  /** The interval phase, after the step that entered it; returns what entering the list returned. */
  intervals(path: DeliveryPath, entered: number): Path<number>;
  /** Ends for everybody because somebody refused a start; drops the SRCU lock. */
  unwind(path: DeliveryPath, entered: number): Path;
}

/** When the lock map is entered: before the first step, after it if there are notifiers, or not at all. */
export type MapUse = "before" | "if-notifiers" | "never";

// A path hands out the same result objects again and again: most steps of a call allocate nothing.
const ACQUIRED = yielded(MAP_ACQUIRE);
const RELEASED = yielded(MAP_RELEASE);

const BEGIN = 0;
const ENTER = 1;
const ENTERED = 2;
const DELIVER = 3;
const INTERVALS = 4;
const WALKING = 5;
const UNWINDING = 6;
const UNLOCKED = 7;
const FINISH = 8;

/** What a call is about; the same for all its subscribers. */
export interface Subject {
  readonly phase: NotificationPhase;
  readonly mm: number;
  readonly start: number;
  readonly end: number;
  readonly event: MmuNotifyEvent | undefined;
  readonly flags: number;
  readonly owner: number;
  readonly pte: number | undefined;
}

/** One call on the bus: enter the list, make the callbacks, leave. */
export class DeliveryPath extends HandWrittenPath {
  readonly subject: Subject;
  readonly slot: number;
  readonly call: BusCall | undefined;
  /** 0 or -errno of the call so far. */
  ret = 0;
  /** The first error of a subscriber that nobody took care of. */
  unclaimed: Error | undefined = undefined;
  /** The interval phase was passed through. */
  viaIntervals = false;
  /** The notification that all subscribers see; made when the first is called. */
  main: Delivery | undefined = undefined;
  readonly #list: ListDelivery;
  readonly #map: MapUse;
  readonly #enter: IteratorYieldResult<Step>;
  readonly #detours: Detours;
  #state = BEGIN;
  #entered = 0;
  #walk: Walk | undefined = undefined;
  #detour: Path<unknown> | undefined = undefined;

  constructor(
    list: ListDelivery,
    subject: Subject,
    slot: number,
    map: MapUse,
    enter: IteratorYieldResult<Step>,
    detours: Detours,
    call: BusCall | undefined,
  ) {
    super();
    this.#list = list;
    this.subject = subject;
    this.slot = slot;
    this.#map = map;
    this.#enter = enter;
    this.#detours = detours;
    this.call = call;
  }

  next(value: number): IteratorResult<Step, number> {
    switch (this.#state) {
      case BEGIN:
        if (this.#map !== "before") {
          this.#state = ENTERED;
          return this.#enter;
        }
        this.#state = ENTER;
        return ACQUIRED;
      case ENTER:
        this.#state = ENTERED;
        return this.#enter;
      case ENTERED:
        this.#entered = value;
        if (value === NO_NOTIFIERS) return this.#leave();
        if (this.#map !== "if-notifiers") return this.#deliver();
        this.#state = DELIVER;
        return ACQUIRED;
      case DELIVER:
        return this.#deliver();
      case INTERVALS: {
        const next = this.#detour!.next(value);
        if (next.done !== true) return next;
        this.#entered = next.value as number;
        return this.#deliver();
      }
      case WALKING: {
        const next = this.#walk!.next(value);
        return next.done === true ? this.#walked(next.value) : next;
      }
      case UNWINDING: {
        const next = this.#detour!.next(value);
        return next.done === true ? this.#leave() : next;
      }
      case UNLOCKED:
        return this.#leave();
      default:
        return this.#finish();
    }
  }

  /** The notification, made now if need be. */
  notification(): Delivery {
    if (this.main === undefined) {
      const { phase, mm, start, end, event, flags, owner, pte } = this.subject;
      this.main = new Delivery(phase, mm, start, end, event, flags, owner, pte);
    }
    return this.main;
  }

  #deliver(): IteratorResult<Step, number> {
    const entered = this.#entered;
    if (entered < 0 || entered === INTERVALS_PASSED) {
      this.viaIntervals = true;
      this.#state = INTERVALS;
      this.#detour = this.#detours.intervals(this, entered);
      return this.next(0);
    }
    if (entered < FIRST_CHAIN) return this.#leave();
    const callbacks = this.#list.callbacks(entered, this.slot);
    const main = this.notification();
    const index = this.#list.deliver(callbacks, main);
    if (index === callbacks.length) {
      this.#state = UNLOCKED;
      return this.#list.unlocked(entered);
    }
    this.#walk = new Walk(this.#list, entered, this.slot, index, main);
    this.#state = WALKING;
    return this.#walk.next(0);
  }

  #walked(locked: number): IteratorResult<Step, number> {
    const main = this.main!;
    this.unclaimed ??= main.unclaimed;
    if (main.refusals > 0) {
      this.#state = UNWINDING;
      this.#detour = this.#detours.unwind(this, this.#entered);
      return this.next(0);
    }
    if (locked === 0) return this.#leave();
    this.#state = UNLOCKED;
    return this.#list.unlocked(this.#entered);
  }

  /** The last step, if there is one to take. */
  #leave(): IteratorResult<Step, number> {
    this.#state = FINISH;
    if (this.#map === "never" || (this.#map === "if-notifiers" && this.#entered === NO_NOTIFIERS))
      return this.#finish();
    return RELEASED;
  }

  #finish(): IteratorResult<Step, number> {
    const { phase } = this.subject;
    const aging = phase === "clear-flush-young" || phase === "clear-young" || phase === "test-young";
    const ret = aging && this.main !== undefined ? this.main.young : this.ret;
    if (this.call !== undefined && (aging || ret !== 0)) (this.call as { ret?: number }).ret = ret;
    if (this.unclaimed !== undefined) throw this.unclaimed;
    return { done: true, value: ret };
  }
}
