import { downWrite, holderOf, mightSleep, type Path, type Step, step, upWrite } from "@mmu-notifier/steps";
import type { BusState } from "./bus-state.js";
import { EINVAL, EOVERFLOW } from "./errno.js";
import { BusError } from "./errors.js";
import { ALL_ENDS, ALL_STARTS, eventlessBit } from "./interest.js";
import type { ListDelivery } from "./list-delivery.js";
import { MAP_ACQUIRE, MAP_RELEASE } from "./lock-map.js";
import { releaseOne } from "./release.js";
import { ABANDONED, ALLOCATED, REGISTERED } from "./subscriptions.js";

const USERS_MAX = 0xffff_ffff;
const UNREGISTER_MIGHT_SLEEP = mightSleep("mmu_notifier_unregister");

/** Registration and lifetime (mm/mmu_notifier.c, register to synchronize). */
export class Registration {
  readonly #state: BusState;
  readonly #delivery: ListDelivery;
  readonly #kzalloc: (() => Path<number>) | undefined;

  constructor(state: BusState, delivery: ListDelivery, kzalloc: (() => Path<number>) | undefined) {
    this.#state = state;
    this.#delivery = delivery;
    this.#kzalloc = kzalloc;
  }

  /** mmu_notifier_register(); subscription 0 only makes the mm ready for intervals. */
  *register(subscription: number, mm: number): Path<number> {
    const { mmapLock } = this.#state.handle(mm);
    yield downWrite(mmapLock);
    const error = yield* this.registerLocked(subscription, mm);
    yield upWrite(mmapLock);
    return error;
  }

  /** __mmu_notifier_register(). */
  *registerLocked(subscription: number, mm: number): Path<number> {
    const handle = this.#state.handle(mm);
    yield this.assertMmapWriteLocked(mm);
    const first = yield step("__mmu_notifier_register: check", () => this.check(subscription, mm));
    if (first < 0) return first;
    if (first > 0) {
      yield MAP_ACQUIRE;
      yield MAP_RELEASE;
      const error = this.#kzalloc === undefined ? 0 : yield* this.#kzalloc();
      if (error !== 0) return error;
    }
    const error = yield* handle.takeAllLocks();
    if (error !== 0) return error;
    yield step("__mmu_notifier_register: publish", () => {
      this.publish(subscription, mm);
      return 0;
    });
    yield* handle.dropAllLocks();
    return 0;
  }

  /** mmap_assert_write_locked(). */
  assertMmapWriteLocked(mm: number): Step {
    const { mmapLock } = this.#state.handle(mm);
    return step("mmap_assert_write_locked", (task) => {
      if (holderOf(mmapLock) !== task) {
        throw new BusError(
          "BUS_MMAP_LOCK_NOT_HELD",
          `${mmapLock.name} is not held for writing. Take it, or call the variant without Locked`,
          { mm },
        );
      }
      return 0;
    });
  }

  /** What registration refuses: -EINVAL, or 1 when the mm has no subscriptions yet, else 0. A step body. */
  check(subscription: number, mm: number): number {
    const { subscriptions, ops, rules, hookPhase, observers } = this.#state;
    if (this.#state.handle(mm).users() <= 0) {
      throw new BusError(
        "BUS_REGISTER_DEAD_MM",
        `mm ${mm} has no users left: kernel BUG at __mmu_notifier_register. Hold mmget() across registration`,
        { mm },
      );
    }
    if (subscription !== 0) {
      subscriptions.check(subscription);
      const { interest, name } = ops[subscriptions.ops(subscription)]!;
      const hook = (interest & (1 << eventlessBit(hookPhase))) !== 0;
      if (rules.rejectsMixedOps && hook && (interest & (ALL_STARTS | ALL_ENDS)) !== 0) {
        observers.warn(
          "WARN_MIXED_OPS",
          `${name} has both ${rules.hook} and start or end. Use two subscriptions, or narrow the stream with ranges() or invalidations()`,
          {
            subscriber: name,
            mm,
          },
        );
        return -EINVAL;
      }
    }
    return subscriptions.of(mm) === 0 ? 1 : 0;
  }

  /** The part of registration under all locks; a step body. */
  publish(subscription: number, mm: number): void {
    const { subscriptions } = this.#state;
    const head = subscriptions.of(mm) || subscriptions.publish(mm);
    if (subscription === 0) {
      subscriptions.setHasItree(head);
      return;
    }
    this.#state.handle(mm).grab();
    subscriptions.setMm(subscription, mm);
    subscriptions.setUsers(subscription, 1);
    subscriptions.setState(subscription, REGISTERED);
    subscriptions.addHead(head, subscription);
  }

  /** mmu_notifier_get(). */
  *get(ops: number, mm: number): Path<number> {
    const { mmapLock } = this.#state.handle(mm);
    yield downWrite(mmapLock);
    const subscription = yield* this.getLocked(ops, mm);
    yield upWrite(mmapLock);
    return subscription;
  }

  /** mmu_notifier_get_locked(): a subscription, or -errno. */
  *getLocked(ops: number, mm: number): Path<number> {
    const { subscriptions } = this.#state;
    yield this.assertMmapWriteLocked(mm);
    const found = yield step("find_get_mmu_notifier", () => this.#find(ops, mm));
    if (found !== 0) return found;
    const { allocNotifier, freeNotifier } = this.#state.ops[ops]!;
    const subscription =
      allocNotifier === undefined
        ? yield step("alloc_notifier", () => subscriptions.alloc(ops))
        : yield* allocNotifier(mm);
    if (subscription < 0) return subscription;
    const error = yield* this.registerLocked(subscription, mm);
    if (error === 0) return subscription;
    if (freeNotifier !== undefined) yield* freeNotifier(subscription);
    yield step("free_notifier", () => {
      subscriptions.free(subscription);
      return 0;
    });
    return error;
  }

  #find(ops: number, mm: number): number {
    const { subscriptions } = this.#state;
    const head = subscriptions.of(mm);
    if (head === 0) return 0;
    for (let at = subscriptions.first(head); at !== 0; at = subscriptions.next(at)) {
      if (subscriptions.ops(at) !== ops) continue;
      const users = subscriptions.users(at);
      if (users === USERS_MAX) return -EOVERFLOW;
      subscriptions.setUsers(at, users + 1);
      return at;
    }
    return 0;
  }

  /** mmu_notifier_unregister(). */
  *unregister(subscription: number, mm: number): Path {
    const { subscriptions, srcu, srcuLock, chains, rules } = this.#state;
    yield UNREGISTER_MIGHT_SLEEP;
    const hashed = yield step("mmu_notifier_unregister", () => {
      subscriptions.check(subscription);
      if (subscriptions.of(mm) === 0 || subscriptions.state(subscription) !== REGISTERED) {
        throw new BusError(
          "BUS_UNREGISTER_FREED_MM",
          `subscription ${subscription} holds no reference to mm ${mm}: kernel BUG at mmu_notifier_unregister. Unregister once for each register`,
          { subscription, mm },
        );
      }
      return subscriptions.isHashed(subscription) ? 1 : 0;
    });
    let unclaimed: Error | undefined;
    if (hashed !== 0) {
      const unhashesFirst = rules.unregisterUnhashesFirst === true;
      const unhash = step("hlist_del_init_rcu", () => {
        subscriptions.unhash(subscriptions.of(mm), subscription);
        return 0;
      });
      if (unhashesFirst) yield unhash;
      const entered = yield step("srcu_read_lock(mmu_notifier)", (task) => {
        const only = chains.empty.followedBy(chains.code(subscriptions.ops(subscription), subscription));
        return only.id * 2 + srcuLock.run(task);
      });
      unclaimed = yield* releaseOne(this.#delivery, entered, mm);
      yield this.#delivery.unlock(entered);
      if (!unhashesFirst) yield unhash;
    }
    yield* srcu.synchronize();
    yield step("mmdrop", () => {
      subscriptions.setState(subscription, ALLOCATED);
      this.#state.handle(mm).drop();
      return 0;
    });
    if (unclaimed !== undefined) throw unclaimed;
  }

  /** Joins at once, at set-up: what {@link register} does when nobody else runs. */
  registerNow(subscription: number, mm: number): void {
    const error = this.check(subscription, mm);
    if (error < 0) {
      const { name } = this.#state.ops[this.#state.subscriptions.ops(subscription)]!;
      throw new BusError(
        "BUS_MIXED_OPS",
        `${name} wants both ${this.#state.rules.hook} and start or end, which this kernel answers with -EINVAL. Narrow the stream with ranges() or invalidations(), or subscribe twice`,
        { subscriber: name, mm, errno: -error },
      );
    }
    this.publish(subscription, mm);
  }

  /** Leaves at once: unhash, drop the mm, and free the row as soon as no reader can stand on it. */
  leaveNow(subscription: number): void {
    const { subscriptions } = this.#state;
    if (!subscriptions.rows.isLive(subscription)) return;
    const registered = subscriptions.state(subscription) === REGISTERED;
    const mm = subscriptions.mm(subscription);
    if (registered) subscriptions.unhash(subscriptions.of(mm), subscription);
    subscriptions.setState(subscription, ABANDONED);
    this.sweep();
    if (registered) this.#state.handle(mm).drop();
  }

  /** Frees the rows of streams that were left while a reader was inside. */
  sweep(): void {
    const { subscriptions, srcu } = this.#state;
    if (srcu.active || this.#delivery.calling) return;
    for (let row = subscriptions.rows.used - 1; row > 0; row--) {
      if (subscriptions.rows.isLive(row) && subscriptions.state(row) === ABANDONED) subscriptions.rows.free(row);
    }
  }
}
