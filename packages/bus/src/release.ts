import { type Path, step } from "@mmu-notifier/steps";
import type { BusState } from "./bus-state.js";
import { eventlessSlot } from "./chain.js";
import { NO_NOTIFIERS, NOBODY } from "./entered.js";
import type { IntervalDelivery, Unclaimed } from "./interval-delivery.js";
import type { ListDelivery } from "./list-delivery.js";
import { Delivery } from "./notification.js";
import type { BusCall } from "./observers.js";
import { MMU_NOTIFIER_RANGE_BLOCKABLE, type MmuNotifierRange, ULONG_MAX } from "./range.js";
import { Walk } from "./walk.js";

/** The walk of `release`. */
const RELEASE_SLOT = eventlessSlot("release");

/** The notification of `release`: everything, and it may sleep. */
function releaseDelivery(mm: number): Delivery {
  const main = new Delivery("release", mm, 0, ULONG_MAX, undefined, MMU_NOTIFIER_RANGE_BLOCKABLE, 0);
  main.keepLocked = true;
  return main;
}

/**
 * `release` of the only subscription of a chain, for mmu_notifier_unregister(). The SRCU lock is held and stays so.
 *
 * @returns the error to throw, if any
 */
export function* releaseOne(list: ListDelivery, entered: number, mm: number): Path<Error | undefined> {
  const callbacks = list.callbacks(entered, RELEASE_SLOT);
  const main = releaseDelivery(mm);
  if (list.deliver(callbacks, main) < callbacks.length) yield* new Walk(list, entered, RELEASE_SLOT, 0, main, true);
  return main.unclaimed;
}

/**
 * __mmu_notifier_release(): intervals first, then `release` of everybody on the list, then everybody is unhashed and a grace
 * period passes, so that a release that unregister makes at the same time has ended too.
 */
export function* release(state: BusState, list: ListDelivery, intervals: IntervalDelivery, mm: number): Path {
  const { subscriptions, srcu, srcuLock, observers } = state;
  const call: BusCall | undefined = observers.calls.observed
    ? { call: "release", mm, start: 0, end: ULONG_MAX }
    : undefined;
  const outcome: Unclaimed = { unclaimed: undefined };
  const range: MmuNotifierRange = {
    mm,
    start: 0,
    end: ULONG_MAX,
    event: "MMU_NOTIFY_RELEASE",
    flags: MMU_NOTIFIER_RANGE_BLOCKABLE,
  };
  const entered = yield step("__mmu_notifier_release", () => {
    const head = subscriptions.of(mm);
    if (head === 0) return NO_NOTIFIERS;
    if (call !== undefined) observers.calls.next(call);
    return subscriptions.hasItree(head) ? intervals.invStart(head, 0, ULONG_MAX) : NOBODY;
  });
  if (entered === NO_NOTIFIERS) return;
  if (entered < 0) {
    yield* intervals.invalidate(range, entered, outcome);
    yield intervals.invEndStep(mm);
  }
  const listed = yield step("mn_hlist_release: srcu_read_lock", (task) => {
    const first = subscriptions.first(subscriptions.of(mm));
    return first === 0 ? NOBODY : subscriptions.chainFrom(first).id * 2 + srcuLock.run(task);
  });
  if (listed !== NOBODY) {
    const callbacks = list.callbacks(listed, RELEASE_SLOT);
    const main = releaseDelivery(mm);
    const index = list.deliver(callbacks, main);
    if (index < callbacks.length) yield* new Walk(list, listed, RELEASE_SLOT, index, main);
    yield step("hlist_del_init_rcu of all", () => {
      const head = subscriptions.of(mm);
      for (let at = subscriptions.first(head); at !== 0; at = subscriptions.first(head)) subscriptions.unhash(head, at);
      return 0;
    });
    yield list.unlock(listed);
    yield* srcu.synchronize();
    outcome.unclaimed ??= main.unclaimed;
  }
  if (outcome.unclaimed !== undefined) throw outcome.unclaimed;
}
