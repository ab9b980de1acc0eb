import { holderOf, type Lock, mightSleep, type Path, Step, step, waitEvent, type WaitQueue } from "@mmu-notifier/steps";
import type { BusState } from "./bus-state.js";
import { EINVAL, EOVERFLOW } from "./errno.js";
import type { IntervalDelivery } from "./interval-delivery.js";
import type { IntervalTree } from "./interval-tree.js";
import { MAP_ACQUIRE, MAP_RELEASE } from "./lock-map.js";
import { ULONG_MAX } from "./range.js";
import type { Registration } from "./registration.js";

const REMOVE_MIGHT_SLEEP = mightSleep("mmu_interval_notifier_remove");

/**
 * What a driver does with its interval notifiers (mm/mmu_notifier.c, the mmu_interval_ functions). As in
 * {@link IntervalDelivery}, a critical section of `subscriptions->lock` is one step.
 */
export class IntervalNotifiers {
  readonly #delivery: IntervalDelivery;
  readonly #state: BusState;
  readonly #registration: Registration;

  constructor(state: BusState, registration: Registration, delivery: IntervalDelivery) {
    this.#state = state;
    this.#registration = registration;
    this.#delivery = delivery;
  }

  /** mmu_interval_notifier_insert(). */
  *insert(interval: number, mm: number, start: number, length: number): Path<number> {
    const { mmapLock } = this.#state.handle(mm);
    yield mightLock(mmapLock);
    yield mightUnlock(mmapLock);
    if ((yield this.#hasItree(mm)) === 0) {
      const error = yield* this.#registration.register(0, mm);
      if (error !== 0) return error;
    }
    return yield this.#insert(interval, mm, start, length);
  }

  /** mmu_interval_notifier_insert_locked(): the caller holds mmap_lock for writing. */
  *insertLocked(interval: number, mm: number, start: number, length: number): Path<number> {
    yield this.#registration.assertMmapWriteLocked(mm);
    if ((yield this.#hasItree(mm)) === 0) {
      const error = yield* this.#registration.registerLocked(0, mm);
      if (error !== 0) return error;
    }
    return yield this.#insert(interval, mm, start, length);
  }

  /** mmu_interval_notifier_remove(). */
  *remove(interval: number): Path {
    yield REMOVE_MIGHT_SLEEP;
    const waitFor = yield step("mmu_interval_notifier_remove: unlink", () => this.#unlink(interval));
    yield MAP_ACQUIRE;
    yield MAP_RELEASE;
    if (waitFor !== 0) yield* waitEvent(this.#queue(interval), () => this.#mmSeq(interval) !== waitFor - 1);
    yield step("mmdrop", () => {
      this.#state.handle(this.#tree.mm(interval)).drop();
      return 0;
    });
  }

  /** mmu_interval_read_begin(). */
  *readBegin(interval: number): Path<number> {
    const read = yield step("mmu_interval_read_begin", () => {
      this.#tree.check(interval);
      const seq = this.#tree.seq(interval);
      return seq * 2 + (seq === this.#mmSeq(interval) ? 1 : 0);
    });
    const invalidating = read % 2;
    const seq = (read - invalidating) / 2;
    yield MAP_ACQUIRE;
    yield MAP_RELEASE;
    if (invalidating !== 0) yield* waitEvent(this.#queue(interval), () => this.#mmSeq(interval) !== seq);
    return seq;
  }

  /** mmu_interval_read_retry(): 1 when the sequence moved. */
  *readRetry(interval: number, seq: number): Path<number> {
    return yield step("mmu_interval_read_retry", (task) => {
      this.#checkUserLock(interval, task, "mmu_interval_read_retry");
      return this.#tree.seq(interval) === seq ? 0 : 1;
    });
  }

  /** mmu_interval_check_retry(). */
  *checkRetry(interval: number, seq: number): Path<number> {
    return yield step("mmu_interval_check_retry", () => (this.#tree.seq(interval) === seq ? 0 : 1));
  }

  /** mmu_interval_set_seq(). */
  *setSeq(interval: number, curSeq: number): Path {
    yield step("mmu_interval_set_seq", (task) => {
      this.#checkUserLock(interval, task, "mmu_interval_set_seq");
      this.#tree.setSeq(interval, curSeq);
      return 0;
    });
  }

  get #tree(): IntervalTree {
    return this.#delivery.tree;
  }

  #checkUserLock(interval: number, task: number, what: string): void {
    this.#tree.check(interval);
    const ops = this.#delivery.ops(this.#tree.opsOf(interval));
    if (ops.userLock === undefined || holderOf(ops.userLock(interval)) === task) return;
    this.#state.observers.warn(
      "WARN_READ_RETRY_UNLOCKED",
      `${what} of interval ${interval} of ${ops.name} without the lock that its invalidate takes`,
      {
        subscriber: ops.name,
        interval,
      },
    );
  }

  #mmSeq(interval: number): number {
    const { subscriptions } = this.#state;
    return subscriptions.seq(subscriptions.of(this.#tree.mm(interval)));
  }

  #queue(interval: number): WaitQueue {
    const { subscriptions } = this.#state;
    const tree = this.#tree;
    return {
      name: "mmu_notifier_subscriptions->wq",
      segment: subscriptions.heads,
      get at() {
        return subscriptions.waitQueueAt(subscriptions.of(tree.mm(interval)));
      },
    };
  }

  #hasItree(mm: number): Step {
    return step("subscriptions->has_itree", () => {
      const { subscriptions } = this.#state;
      const head = subscriptions.of(mm);
      return head !== 0 && subscriptions.hasItree(head) ? 1 : 0;
    });
  }

  /** __mmu_interval_notifier_insert(). */
  #insert(interval: number, mm: number, start: number, length: number): Step {
    return step("__mmu_interval_notifier_insert", () => {
      const { observers, subscriptions } = this.#state;
      const tree = this.#tree;
      tree.check(interval);
      if (length === 0 || start + length > ULONG_MAX) return -EOVERFLOW;
      const handle = this.#state.handle(mm);
      if (handle.users() <= 0) {
        observers.warn(
          "WARN_INTERVAL_DEAD_MM",
          `interval ${interval} is inserted into mm ${mm}, which has no users left. Hold mmget() across the insertion`,
          { interval, mm },
        );
        return -EINVAL;
      }
      handle.grab();
      tree.init(interval, mm, start, start + length - 1);
      const head = subscriptions.of(mm);
      let seq = subscriptions.seq(head);
      const odd = (seq & 1) !== 0;
      if (subscriptions.active(head) > 0) {
        if (odd) tree.defer(head, interval);
        else {
          seq |= 1;
          subscriptions.setSeq(head, seq);
          tree.insert(head, interval);
        }
        tree.setSeq(interval, seq);
        return 0;
      }
      if (odd)
        observers.warn(
          "WARN_INTERVAL_IDLE_BUT_ODD",
          `mm ${mm} has no invalidation under way but its sequence ${seq} is odd`,
          { interval, mm, seq },
        );
      tree.setSeq(interval, this.#delivery.seqBefore(seq));
      tree.insert(head, interval);
      return 0;
    });
  }

  /** The locked part of remove: 0, or one more than the sequence to wait for. */
  #unlink(interval: number): number {
    const { observers, subscriptions } = this.#state;
    const tree = this.#tree;
    tree.check(interval);
    const head = subscriptions.of(tree.mm(interval));
    const seq = subscriptions.seq(head);
    const inTree = tree.isInTree(interval);
    const deferred = tree.isDeferred(interval);
    if (!inTree && !deferred) {
      observers.warn(
        "WARN_INTERVAL_NOT_INSERTED",
        `interval ${interval} is removed but is neither in the tree nor deferred`,
        { interval },
      );
      return 0;
    }
    if ((seq & 1) === 0) tree.remove(head, interval);
    else if (!inTree) tree.undefer(head, interval);
    else {
      if (!deferred) tree.defer(head, interval);
      return seq + 1;
    }
    return 0;
  }
}

/** might_lock(): tells the lock-order check, takes nothing. */
function mightLock(lock: Lock): Step {
  return new Step(`might_lock(${lock.name})`, () => 0, undefined, {
    kind: "acquire",
    lock,
    mode: "write",
    subclass: 0,
    attempt: false,
  });
}

function mightUnlock(lock: Lock): Step {
  return new Step(`might_lock(${lock.name})`, () => 0, undefined, { kind: "release", lock });
}
