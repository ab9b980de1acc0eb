import { type Path, step } from "@mmu-notifier/steps";
import { ONLY_END_SLOT } from "./chain.js";
import { NOBODY_LEFT } from "./entered.js";
import type { ListDelivery } from "./list-delivery.js";
import { Delivery } from "./notification.js";
import type { Subscriptions } from "./subscriptions.js";
import { Walk } from "./walk.js";

/**
 * The second half of mn_hlist_invalidate_range_start(): somebody refused, so everybody who has an end gets one, whether its own
 * start succeeded or not. The SRCU lock is held and is dropped.
 *
 * @param event - position in MMU_NOTIFY_EVENTS
 */
export function* unwind(
  list: ListDelivery,
  subscriptions: Subscriptions,
  entered: number,
  event: number,
  refused: Delivery,
): Path {
  const { mm, start, end, flags, owner } = refused;
  const slot = ONLY_END_SLOT + event;
  const first = yield step("hlist: first, to end what was started", () => {
    const chain = subscriptions.chainFrom(subscriptions.first(subscriptions.of(mm)));
    return chain.callbacks(slot).length === 0 ? NOBODY_LEFT : chain.id * 2 + (entered & 1);
  });
  if (first !== NOBODY_LEFT) {
    const ends = new Delivery("end", mm, start, end, refused.event, flags, owner);
    ends.unwinding = true;
    const callbacks = list.callbacks(first, slot);
    const index = list.deliver(callbacks, ends);
    const held = index < callbacks.length ? yield* new Walk(list, first, slot, index, ends) : 1;
    refused.unclaimed ??= ends.unclaimed;
    if (held === 0) return;
  }
  yield list.unlock(entered);
}
