import {
  call,
  nonBlockEnd,
  nonBlockStart,
  type Path,
  preemptDisable,
  preemptEnable,
  type Step,
  step,
} from "@mmu-notifier/steps";
import type { BusState } from "./bus-state.js";
import { type Callback, eventlessSlot, ONLY_END_SLOT } from "./chain.js";
import { SubscriberError } from "./errors.js";
import { guardedWork } from "./guarded-work.js";
import { ALL_ENDS, interestBit } from "./interest.js";
import { Delivery } from "./notification.js";
import { callbackName } from "./observers.js";
import { MMU_NOTIFIER_RANGE_BLOCKABLE, ULONG_MAX } from "./range.js";

/** What entering a list returns when it is no chain: `mm->notifier_subscriptions` is NULL. */
export const NO_NOTIFIERS = 0;
/** Nobody on the list wants the call; the SRCU lock was not taken, or was dropped. */
export const NOBODY = 1;
/** The interval phase was passed through; the list is still to be entered. */
export const INTERVALS_PASSED = 2;
/** Nobody is left, and the SRCU lock is still held. */
const NOBODY_LEFT = 3;
/** Results from here on are a chain (times 2) and an SRCU counter. */
export const FIRST_CHAIN = 4;

/**
 * Walks of the hlist under SRCU.
 *
 * One step takes the SRCU lock and reads the rest of the list; the callbacks are then made one after the other until one
 * asks for work. That is as good as a step for each: a callback that asks for no work touches no shared memory, so no task
 * can tell when it ran, and an unhash that would have come between two of them gives the outcome it gives before or
 * after the read. After work, which may have let others run, the walk reads on from where it stands. Taking the lock with the
 * first read, and dropping it with the last, lose nothing either: the lock is a right mover and the unlock a left mover.
 */
export class ListDelivery {
  readonly #state: BusState;
  readonly #unlocked: readonly IteratorYieldResult<Step>[];
  #calling = 0;
  #thrown: { readonly cause: unknown } | undefined = undefined;

  constructor(state: BusState) {
    this.#state = state;
    this.#unlocked = state.srcuUnlock.map((value) => ({ done: false, value }));
  }

  /** True while a callback is on the (JavaScript) stack. */
  get calling(): boolean {
    return this.#calling > 0;
  }

  /** Takes an error that a stream's subscriber threw, which RxJS would swallow. */
  caught(cause: unknown, name: string): void {
    if (this.#calling > 0) this.#thrown ??= { cause };
    else this.#state.observers.raise(new SubscriberError(name, "a callback outside any bus call", cause));
  }

  /** The step body that takes the SRCU lock and reads the list: a chain and the counter, {@link NOBODY}, or {@link NO_NOTIFIERS}. */
  enter(mm: number, slot: number, task: number): number {
    const { subscriptions, srcuLock } = this.#state;
    const head = subscriptions.of(mm);
    if (head === 0) return NO_NOTIFIERS;
    const first = subscriptions.first(head);
    if (first === 0) return NOBODY;
    const chain = subscriptions.chainFrom(first);
    return chain.callbacks(slot).length === 0 ? NOBODY : chain.id * 2 + srcuLock.run(task);
  }

  /** The callbacks that a result of {@link enter} stands for. */
  callbacks(entered: number, slot: number): readonly Callback[] {
    return this.#state.chains.at(entered >> 1).callbacks(slot);
  }

  /** srcu_read_unlock(). */
  unlock(entered: number): Step {
    return this.#state.srcuUnlock[entered & 1]!;
  }

  /** {@link unlock} as a path's `next` returns it. */
  unlocked(entered: number): IteratorYieldResult<Step> {
    return this.#unlocked[entered & 1]!;
  }

  /** Makes the callbacks up to the first that wants {@link serve}; returns its index, or the number of callbacks. */
  deliver(callbacks: readonly Callback[], main: Delivery): number {
    const count = callbacks.length;
    for (let i = 0; i < count; i++) if (this.#invoke(callbacks[i]!, main)) return i;
    return count;
  }

  /**
   * Goes on from the callback at `index`, which wants to be served, to the end of the list.
   *
   * @returns 1 when the SRCU lock is still held
   */
  *walk(entered: number, slot: number, index: number, main: Delivery): Path<number> {
    let callbacks = this.callbacks(entered, slot);
    for (let i = index; ;) {
      const callback = callbacks[i]!;
      yield* this.#serve(callback, main);
      const twin = callbacks[i + 1];
      if (twin !== undefined && twin.row === callback.row && this.#invoke(twin, main)) yield* this.#serve(twin, main);
      if (main.phase === "test-young" && main.young !== 0) return 1;
      const rest = yield this.#readOn(callback.row, slot, entered & 1, main.keepLocked || main.refusals > 0);
      if (rest === NOBODY) return 0;
      if (rest === NOBODY_LEFT) return 1;
      callbacks = this.callbacks(rest, slot);
      i = this.deliver(callbacks, main);
      if (i === callbacks.length) return 1;
    }
  }

  /** Ends for everybody, inside a start that somebody refused; the SRCU lock is held and is dropped. */
  *unwind(entered: number, event: number, refused: Delivery): Path {
    const { subscriptions } = this.#state;
    const slot = ONLY_END_SLOT + event;
    const first = yield step("hlist: first, to end what was started", () => {
      const chain = subscriptions.chainFrom(subscriptions.first(subscriptions.of(refused.mm)));
      return chain.callbacks(slot).length === 0 ? NOBODY_LEFT : chain.id * 2 + (entered & 1);
    });
    if (first !== NOBODY_LEFT) {
      const ends = new Delivery(
        "end",
        refused.mm,
        refused.start,
        refused.end,
        refused.event,
        refused.flags,
        refused.owner,
      );
      ends.unwinding = true;
      const callbacks = this.callbacks(first, slot);
      const i = this.deliver(callbacks, ends);
      const held = i < callbacks.length ? yield* this.walk(first, slot, i, ends) : 1;
      refused.unclaimed ??= ends.unclaimed;
      if (held === 0) return;
    }
    yield this.unlock(entered);
  }

  /** `ops->release` of the only subscription of a chain; the caller holds the SRCU lock. Returns the error to throw, if any. */
  *releaseOne(entered: number, mm: number): Path<Error | undefined> {
    const callbacks = this.callbacks(entered, RELEASE_SLOT);
    const main = releaseDelivery(mm);
    if (this.deliver(callbacks, main) < callbacks.length) yield* this.#serve(callbacks[0]!, main);
    return main.unclaimed;
  }

  #readOn(row: number, slot: number, counter: number, keepLocked: boolean): Step {
    const { subscriptions, srcuUnlock } = this.#state;
    return step("hlist: next", (task) => {
      const chain = subscriptions.chainFrom(subscriptions.next(row));
      if (chain.callbacks(slot).length > 0) return chain.id * 2 + counter;
      if (keepLocked) return NOBODY_LEFT;
      srcuUnlock[counter]!.run(task);
      return NOBODY;
    });
  }

  #of(callback: Callback, main: Delivery): Delivery {
    if (!callback.hook) return main;
    return (main.hook ??= new Delivery(this.#state.hookPhase, main.mm, main.start, main.end, undefined, 0, 0));
  }

  #invoke(callback: Callback, main: Delivery): boolean {
    const delivery = this.#of(callback, main);
    delivery.open();
    this.#calling++;
    try {
      callback.ops.next(delivery, callback.row);
    } catch (cause) {
      this.#thrown ??= { cause };
    }
    this.#calling--;
    if (this.#thrown !== undefined) {
      delivery.fault = this.#thrown;
      delivery.attention = true;
      this.#thrown = undefined;
    }
    if (delivery.attention) return true;
    delivery.close();
    return false;
  }

  /** Does the work that a callback asked for, and answers for what else it did. */
  *#serve(callback: Callback, main: Delivery): Path {
    const delivery = this.#of(callback, main);
    let work = delivery.takeWork();
    if (work !== undefined) {
      const bracket = bracketOf(delivery);
      if (bracket !== undefined) yield bracket.open;
      for (; work !== undefined; work = delivery.takeWork()) yield* call(callback.label, guardedWork(work, delivery));
      if (bracket !== undefined) yield bracket.close;
    }
    delivery.close();
    if (delivery.fault !== undefined) yield* this.#fault(callback, delivery, main);
    if (delivery.refused) yield* this.#refused(callback, main);
  }

  *#fault(callback: Callback, delivery: Delivery, main: Delivery): Path {
    const { name } = callback.ops;
    const { phase, event, mm, start, end } = delivery;
    const error = new SubscriberError(
      name,
      `${callbackName(phase)}${event === undefined ? "" : ` of ${event}`} for mm ${mm} [0x${start.toString(16)}, 0x${end.toString(16)})`,
      delivery.fault!.cause,
      { phase, event, mm, start, end, step: delivery.fault!.step },
    );
    delivery.fault = undefined;
    if (!this.#state.observers.faults.observed) main.unclaimed ??= error;
    else {
      yield step(`${callback.label} threw`, () => {
        this.#state.observers.raise(error);
        return 0;
      });
    }
  }

  /** What mn_hlist_invalidate_range_start() does with a result that is not 0. */
  *#refused(callback: Callback, main: Delivery): Path {
    main.refusals++;
    const { observers } = this.#state;
    const { name, interest } = callback.ops;
    const hasEnd = (interest & ALL_ENDS & interestBit("end", main.event)) !== 0;
    if (!main.blockable && !hasEnd) return;
    yield step("WARN_ON: range_start failed", () => {
      const details = { subscriber: name, mm: main.mm, event: main.event };
      if (main.blockable) {
        observers.warn(
          "WARN_START_FAILED_BLOCKABLE",
          `${name} refused a blockable invalidate_range_start, which has no way to fail. Do the work, or sleep for it`,
          details,
        );
      }
      if (hasEnd) {
        observers.warn(
          "WARN_START_FAILED_HAS_END",
          `${name} refused invalidate_range_start but has invalidate_range_end: it cannot tell which starts its ends belong to`,
          details,
        );
      }
      return 0;
    });
  }
}

/** The walk of `release`. */
export const RELEASE_SLOT = eventlessSlot("release");

/** The notification of `release`: everything, and it may sleep. */
export function releaseDelivery(mm: number): Delivery {
  const main = new Delivery("release", mm, 0, ULONG_MAX, undefined, MMU_NOTIFIER_RANGE_BLOCKABLE, 0);
  main.keepLocked = true;
  return main;
}

const NON_BLOCK = { open: nonBlockStart(), close: nonBlockEnd() };
const ATOMIC = { open: preemptDisable(), close: preemptEnable() };

/** The section that a callback's work runs in. */
function bracketOf(delivery: Delivery): { readonly open: Step; readonly close: Step } | undefined {
  switch (delivery.phase) {
    case "start":
    case "end":
      return delivery.blockable || delivery.unwinding ? undefined : NON_BLOCK;
    case "release":
      return undefined;
    case "invalidate-range":
    case "arch-invalidate-secondary-tlbs":
    case "change-pte":
    case "clear-flush-young":
    case "clear-young":
    case "test-young":
      return ATOMIC;
  }
}
