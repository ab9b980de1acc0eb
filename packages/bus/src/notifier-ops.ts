import type { Path } from "@mmu-notifier/steps";
import type { Interest } from "./interest.js";
import type { MmuNotification } from "./notification.js";

/**
 * struct mmu_notifier_ops: what all subscriptions of one kind share. Given to the bus at set-up; paths name it by the
 * number that {@link NotifierBus.defineOps} returned, as the kernel compares ops pointers.
 *
 * @public
 */
export interface NotifierOps {
  /** What errors call the subscriber. */
  readonly name: string;
  /** Which callbacks exist. */
  readonly interest: Interest;
  /** All callbacks; `subscription` says for whom. */
  next(notification: MmuNotification, subscription: number): void;
  /** alloc_notifier: returns a subscription of these ops, or -errno. Without it the bus allocates one. May sleep. */
  readonly allocNotifier?: (mm: number) => Path<number>;
  /** free_notifier: runs after the last put and a grace period. Must not sleep. The bus frees the row afterwards. */
  readonly freeNotifier?: (subscription: number) => Path;
}
