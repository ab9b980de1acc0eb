import type { Path, Step } from "@mmu-notifier/steps";
import type { MmuNotifyEvent } from "./events.js";
import type { NotificationPhase } from "./interest.js";
import { FIRST_CHAIN, type ListDelivery, NO_NOTIFIERS, NOBODY } from "./list-delivery.js";
import { MAP_ACQUIRE, MAP_RELEASE } from "./lock-map.js";
import { Delivery } from "./notification.js";

/** What a call goes on with when a callback asked for work, or when there are intervals. */
export type GoOn = (path: DeliveryPath, entered: number, index: number) => Path<number>;

/** What `next` returns for a step. */
export function yielded(step: Step): IteratorYieldResult<Step> {
  return { done: false, value: step };
}

/** When the lock map is entered: before the first step, after it if there are notifiers, or not at all. */
export type MapUse = "before" | "if-notifiers" | "never";

// A path hands out the same result objects again and again: a step of a call then allocates nothing.
const ACQUIRED = yielded(MAP_ACQUIRE);
const RELEASED = yielded(MAP_RELEASE);

const BEGIN = 0;
const ENTER = 1;
const ENTERED = 2;
const DELIVER = 3;
const UNLOCKED = 4;
const FINISH = 5;
const GOING_ON = 6;
const DONE = 7;

/**
 * The path of one call in which no callback asks for work: enter the list, make the callbacks, leave. Everything else is left
 * to a generator.
 *
 * It is written out by hand because it is the hottest path of the bus: V8 compiles `next` like any function, and a step costs
 * 50 ns where a delegated generator's costs 70. The generators of steps/ are the rule; this is the exception.
 */
export class DeliveryPath implements Generator<Step, number, number> {
  readonly phase: NotificationPhase;
  readonly mm: number;
  readonly start: number;
  readonly end: number;
  readonly event: MmuNotifyEvent | undefined;
  readonly flags: number;
  readonly owner: number;
  readonly pte: number | undefined;
  readonly slot: number;
  /** The notification that all subscribers see; made when the first is called. */
  main: Delivery | undefined = undefined;
  readonly #list: ListDelivery;
  readonly #map: MapUse;
  readonly #enter: IteratorYieldResult<Step>;
  readonly #goOn: GoOn;
  #state = BEGIN;
  #entered = 0;
  #rest: Path<number> | undefined = undefined;

  constructor(
    list: ListDelivery,
    phase: NotificationPhase,
    slot: number,
    map: MapUse,
    enter: IteratorYieldResult<Step>,
    goOn: GoOn,
    mm: number,
    start: number,
    end: number,
    event: MmuNotifyEvent | undefined,
    flags: number,
    owner: number,
    pte: number | undefined,
  ) {
    this.#list = list;
    this.phase = phase;
    this.slot = slot;
    this.#map = map;
    this.#enter = enter;
    this.#goOn = goOn;
    this.mm = mm;
    this.start = start;
    this.end = end;
    this.event = event;
    this.flags = flags;
    this.owner = owner;
    this.pte = pte;
  }

  next(value: number): IteratorResult<Step, number> {
    const state = this.#state;
    if (state === BEGIN && this.#map === "before") {
      this.#state = ENTER;
      return ACQUIRED;
    }
    if (state === BEGIN || state === ENTER) {
      this.#state = ENTERED;
      return this.#enter;
    }
    if (state === ENTERED) {
      this.#entered = value;
      if (value !== NO_NOTIFIERS && this.#map === "if-notifiers") {
        this.#state = DELIVER;
        return ACQUIRED;
      }
      return value === NO_NOTIFIERS ? this.#leave() : this.#deliver();
    }
    if (state === DELIVER) return this.#deliver();
    if (state === UNLOCKED) return this.#leave();
    if (state === GOING_ON) return this.#rest!.next(value);
    this.#state = DONE;
    return { done: true, value: this.result };
  }

  return(value: number): IteratorResult<Step, number> {
    this.#state = DONE;
    return { done: true, value };
  }

  throw(error: unknown): IteratorResult<Step, number> {
    if (this.#state === GOING_ON) return this.#rest!.throw(error);
    this.#state = DONE;
    throw error;
  }

  [Symbol.iterator](): this {
    return this;
  }

  get [Symbol.toStringTag](): string {
    return "DeliveryPath";
  }

  /** What the call returns when nothing was refused. */
  get result(): number {
    return this.main === undefined ? 0 : this.main.young;
  }

  /** The notification, made now if need be. */
  notification(): Delivery {
    return (this.main ??= new Delivery(
      this.phase,
      this.mm,
      this.start,
      this.end,
      this.event,
      this.flags,
      this.owner,
      this.pte,
    ));
  }

  #deliver(): IteratorResult<Step, number> {
    const entered = this.#entered;
    if (entered === NOBODY) return this.#leave();
    let index = 0;
    if (entered >= FIRST_CHAIN) {
      const callbacks = this.#list.callbacks(entered, this.slot);
      index = this.#list.deliver(callbacks, this.notification());
      if (index === callbacks.length) {
        this.#state = UNLOCKED;
        return this.#list.unlocked(entered);
      }
    }
    this.#state = GOING_ON;
    this.#rest = this.#goOn(this, entered, index);
    return this.#rest.next(0);
  }

  /** The last step, if there is one to take. */
  #leave(): IteratorResult<Step, number> {
    if (this.#map === "before" || (this.#map === "if-notifiers" && this.#entered !== NO_NOTIFIERS)) {
      this.#state = FINISH;
      return RELEASED;
    }
    this.#state = DONE;
    return { done: true, value: this.result };
  }
}
