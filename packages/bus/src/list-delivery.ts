import { type Path, type Step, step } from "@mmu-notifier/steps";
import type { BusState } from "./bus-state.js";
import type { Callback } from "./chain.js";
import { NO_NOTIFIERS, NOBODY, NOBODY_LEFT } from "./entered.js";
import { SubscriberError } from "./errors.js";
import { ALL_ENDS, interestBit } from "./interest.js";
import { Delivery } from "./notification.js";
import { callbackName } from "./observers.js";

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
    const { chains, subscriptions, srcuLock } = this.#state;
    const head = subscriptions.of(mm);
    if (head === 0) return NO_NOTIFIERS;
    if ((subscriptions.interest(head) & chains.interest(slot)) === 0) return NOBODY;
    return subscriptions.chainFrom(subscriptions.first(head)).id * 2 + srcuLock.run(task);
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

  /** Makes the callbacks up to the first that wants a {@link Walk}; returns its index, or the number of callbacks. */
  deliver(callbacks: readonly Callback[], main: Delivery): number {
    const count = callbacks.length;
    for (let i = 0; i < count; i++) if (this.invoke(callbacks[i]!, main)) return i;
    return count;
  }

  /** The step that reads the rest of the list behind `row`, and drops the SRCU lock if nobody is left. */
  readOn(row: number, slot: number, counter: number, keepLocked: boolean): Step {
    const { subscriptions, srcuUnlock } = this.#state;
    return step("hlist: next", (task) => {
      const chain = subscriptions.chainFrom(subscriptions.next(row));
      if (chain.callbacks(slot).length > 0) return chain.id * 2 + counter;
      if (keepLocked) return NOBODY_LEFT;
      srcuUnlock[counter]!.run(task);
      return NOBODY;
    });
  }

  /** What a callback is given. */
  deliveryOf(callback: Callback, main: Delivery): Delivery {
    if (!callback.hook) return main;
    return (main.hook ??= new Delivery(this.#state.hookPhase, main.mm, main.start, main.end, undefined, 0, 0));
  }

  /** Makes one callback; true when it wants a {@link Walk}. */
  invoke(callback: Callback, main: Delivery): boolean {
    const delivery = this.deliveryOf(callback, main);
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

  /** What follows when a subscriber threw or refused. */
  *answerFor(callback: Callback, delivery: Delivery, main: Delivery): Path {
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
