import { call, holderOf, type Lock, type Memory, mightSleep, type Path, Step, step, waitEvent, type WaitQueue, wakeUpAll } from "@mmu-notifier/steps";
import type { BusState } from "./bus-state.js";
import { EAGAIN, EINVAL, EOVERFLOW } from "./errno.js";
import { SubscriberError } from "./errors.js";
import { type FaultBox, guardedWork } from "./guarded-work.js";
import { IntervalTree } from "./interval-tree.js";
import { MAP_ACQUIRE, MAP_RELEASE } from "./lock-map.js";
import { isBlockable, type MmuNotifierRange, ULONG_MAX } from "./range.js";
import type { Registration } from "./registration.js";

/**
 * struct mmu_interval_notifier_ops, given to the bus at set-up.
 *
 * @public
 */
export interface IntervalNotifierOps {
  /** What errors call the subscriber. */
  readonly name: string;
  /**
   * The lock that `invalidate` takes. When given, the bus checks that read_retry and set_seq are called under it.
   */
  readonly userLock?: (interval: number) => Lock;
  /**
   * invalidate(): take the user lock, {@link NotifierBus.intervalSetSeq} with `curSeq`, stop the use of the range. Returns false only
   * when the range is not blockable and it would have to sleep.
   */
  invalidate(interval: number, range: MmuNotifierRange, curSeq: number): Path<boolean>;
}

/** Where the first error of a call is kept when nobody takes care of errors. */
export interface Unclaimed {
  unclaimed: Error | undefined;
}

const SEQ_RANGE = 2 ** 30;
const REMOVE_MIGHT_SLEEP = mightSleep("mmu_interval_notifier_remove");

/**
 * Interval notifiers and their sequence protocol (mm/mmu_notifier.c, the mn_itree_ and mmu_interval_ functions).
 *
 * What the kernel does under `subscriptions->lock` is one step here: nothing else is done under that lock, so no task could
 * come in between.
 */
export class IntervalNotifiers {
  readonly tree: IntervalTree;
  /** Kinds of intervals; number 0 is none. */
  readonly #ops: ({ readonly ops: IntervalNotifierOps; readonly label: string } | undefined)[] = [undefined];
  readonly #state: BusState;
  readonly #registration: Registration;
  readonly #mask: number;

  constructor(memory: Memory, state: BusState, registration: Registration, seqBits: number) {
    this.#state = state;
    this.#registration = registration;
    this.#mask = 2 ** seqBits - 1;
    this.tree = new IntervalTree(memory, state.subscriptions);
  }

  /** True when set-up made a kind of interval: only then can any mm have a tree. */
  get defined(): boolean {
    return this.#ops.length > 1;
  }

  defineOps(ops: IntervalNotifierOps): number {
    return this.#ops.push({ ops, label: `${ops.name}.invalidate` }) - 1;
  }

  /**
   * mn_itree_inv_start_range(), a step body: counts the invalidation and, if it hits, makes the sequence odd.
   *
   * @returns a negative number that {@link invalidate} understands
   */
  invStart(head: number, start: number, end: number): number {
    const { subscriptions } = this.#state;
    subscriptions.addActive(head, 1);
    const hits = this.tree.hits(head, start, end);
    let seq = subscriptions.seq(head);
    if (hits.codes.length > 0) {
      seq |= 1;
      subscriptions.setSeq(head, seq);
    }
    return -(hits.id * SEQ_RANGE + seq);
  }

  /** mn_itree_inv_end(), a step body. Waking the sleepers belongs to the step: they only look at what it wrote. */
  invEnd(head: number): void {
    const { subscriptions } = this.#state;
    const seq = subscriptions.seq(head);
    if (subscriptions.addActive(head, -1) !== 0 || (seq & 1) === 0) return;
    subscriptions.setSeq(head, (seq + 1) & this.#mask);
    this.tree.settle(head);
    wakeUpAll({ name: "wq", segment: subscriptions.heads, at: subscriptions.waitQueueAt(head) });
  }

  /** The callbacks of mn_itree_invalidate(), after {@link invStart}: 0 or -EAGAIN. */
  *invalidate(range: MmuNotifierRange, entered: number, outcome: Unclaimed): Path<number> {
    const { observers, subscriptions } = this.#state;
    const seq = -entered % SEQ_RANGE;
    for (const code of this.tree.hitsAt((-entered - seq) / SEQ_RANGE).codes) {
      const interval = code & 0xffff;
      const { ops, label } = this.#ops[code >> 16]!;
      const box: FaultBox = { fault: undefined };
      const answer = yield* call(label, guardedWork(() => ops.invalidate(interval, range, seq), box));
      if (box.fault !== undefined) {
        const { mm, start, end, event } = range;
        const error = new SubscriberError(
          ops.name,
          `invalidate of ${event} for mm ${mm} [0x${start.toString(16)}, 0x${end.toString(16)})`,
          box.fault.cause,
          { mm, start, end, event, interval },
        );
        if (!observers.faults.observed) outcome.unclaimed ??= error;
        else {
          yield step(`${label} threw`, () => {
            observers.raise(error);
            return 0;
          });
        }
        continue;
      }
      if (answer !== false) continue;
      if (!isBlockable(range)) {
        yield step("mn_itree_inv_end", () => {
          this.invEnd(subscriptions.of(range.mm));
          return 0;
        });
        return -EAGAIN;
      }
      yield step("WARN_ON: invalidate returned false", () => {
        const release = range.event === "MMU_NOTIFY_RELEASE";
        observers.warn(
          release ? "WARN_INTERVAL_REFUSED_RELEASE" : "WARN_INTERVAL_REFUSED_BLOCKABLE",
          `${ops.name} returned false from invalidate of ${release ? "MMU_NOTIFY_RELEASE" : "a blockable range"}. Sleep for the user lock instead`,
          { subscriber: ops.name, interval, mm: range.mm, event: range.event },
        );
        return 0;
      });
    }
    return 0;
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
      this.#state.handle(this.tree.mm(interval)).drop();
      return 0;
    });
  }

  /** mmu_interval_read_begin(). */
  *readBegin(interval: number): Path<number> {
    const read = yield step("mmu_interval_read_begin", () => {
      this.tree.check(interval);
      const seq = this.tree.seq(interval);
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
      return this.tree.seq(interval) === seq ? 0 : 1;
    });
  }

  /** mmu_interval_check_retry(). */
  *checkRetry(interval: number, seq: number): Path<number> {
    return yield step("mmu_interval_check_retry", () => (this.tree.seq(interval) === seq ? 0 : 1));
  }

  /** mmu_interval_set_seq(). */
  *setSeq(interval: number, curSeq: number): Path {
    yield step("mmu_interval_set_seq", (task) => {
      this.#checkUserLock(interval, task, "mmu_interval_set_seq");
      this.tree.setSeq(interval, curSeq);
      return 0;
    });
  }

  #checkUserLock(interval: number, task: number, what: string): void {
    this.tree.check(interval);
    const { ops } = this.#ops[this.tree.opsOf(interval)]!;
    if (ops.userLock === undefined || holderOf(ops.userLock(interval)) === task) return;
    this.#state.observers.warn("WARN_READ_RETRY_UNLOCKED", `${what} of interval ${interval} of ${ops.name} without the lock that its invalidate takes`, {
      subscriber: ops.name,
      interval,
    });
  }

  #mmSeq(interval: number): number {
    const { subscriptions } = this.#state;
    return subscriptions.seq(subscriptions.of(this.tree.mm(interval)));
  }

  #queue(interval: number): WaitQueue {
    const { subscriptions } = this.#state;
    const { tree } = this;
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
      const { tree } = this;
      tree.check(interval);
      if (length === 0 || start + length > ULONG_MAX) return -EOVERFLOW;
      const handle = this.#state.handle(mm);
      if (handle.users() <= 0) {
        observers.warn("WARN_INTERVAL_DEAD_MM", `interval ${interval} is inserted into mm ${mm}, which has no users left. Hold mmget() across the insertion`, { interval, mm });
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
      if (odd) observers.warn("WARN_INTERVAL_IDLE_BUT_ODD", `mm ${mm} has no invalidation under way but its sequence ${seq} is odd`, { interval, mm, seq });
      tree.setSeq(interval, (seq - 1) & this.#mask);
      tree.insert(head, interval);
      return 0;
    });
  }

  /** The locked part of remove: 0, or one more than the sequence to wait for. */
  #unlink(interval: number): number {
    const { observers, subscriptions } = this.#state;
    const { tree } = this;
    tree.check(interval);
    const head = subscriptions.of(tree.mm(interval));
    const seq = subscriptions.seq(head);
    const inTree = tree.isInTree(interval);
    const deferred = tree.isDeferred(interval);
    if (!inTree && !deferred) {
      observers.warn("WARN_INTERVAL_NOT_INSERTED", `interval ${interval} is removed but is neither in the tree nor deferred`, { interval });
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
  return new Step(`might_lock(${lock.name})`, () => 0, undefined, { kind: "acquire", lock, mode: "write", subclass: 0, attempt: false });
}

function mightUnlock(lock: Lock): Step {
  return new Step(`might_lock(${lock.name})`, () => 0, undefined, { kind: "release", lock });
}
