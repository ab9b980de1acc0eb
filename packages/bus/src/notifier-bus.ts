import { type Memory, mightSleep, type Path, Step, step } from "@mmu-notifier/steps";
import type { Observable, Subscription } from "rxjs";
import { BusState } from "./bus-state.js";
import { END_SLOT, eventlessSlot, ONLY_END_SLOT, START_SLOT } from "./chain.js";
import { EAGAIN } from "./errno.js";
import { BusError, type SubscriberError } from "./errors.js";
import { eventIndex, type MmuNotifyEvent } from "./events.js";
import { type IntervalNotifierOps, IntervalNotifiers, type Unclaimed } from "./interval-notifiers.js";
import type { NotificationPhase } from "./interest.js";
import { INTERVALS_PASSED, ListDelivery, NO_NOTIFIERS, NOBODY, RELEASE_SLOT, releaseDelivery } from "./list-delivery.js";
import { MAP_ACQUIRE, MAP_RELEASE } from "./lock-map.js";
import type { MmHandle } from "./mm-handle.js";
import { Delivery } from "./notification.js";
import { type NamedObserver, NotificationStream } from "./notification-stream.js";
import type { NotifierOps } from "./notifier-ops.js";
import type { BusCall, BusWarning } from "./observers.js";
import { isBlockable, MMU_NOTIFIER_RANGE_BLOCKABLE, type MmuNotifierRange, setBlockable, ULONG_MAX } from "./range.js";
import { Registration } from "./registration.js";
import type { BusRules } from "./rules.js";
import { StreamSubscribers } from "./stream-subscribers.js";

/** Settings of a bus that are no matter of the kernel's version. */
export interface BusOptions {
  /**
   * Bits of the interval sequence number, 3 to 30. The kernel has 64; a checker that wants loops to come back to the same
   * state takes few.
   *
   * @defaultValue 30
   */
  readonly invalidateSeqBits?: number;
  /** The allocation of the first registration: 0 or -ENOMEM. */
  readonly kzalloc?: () => Path<number>;
}

/** A subscriber of a stream that is not yet on any list. */
export interface PreparedSubscription {
  /** For {@link NotifierBus.register}, `unregister` and `put`. */
  readonly subscription: number;
  /** Ends it at once, at tear-down. */
  readonly stream: Subscription;
}

const START_MIGHT_SLEEP = mightSleep("mmu_notifier_invalidate_range_start");
const END_MIGHT_SLEEP = mightSleep("mmu_notifier_invalidate_range_end");

/**
 * The MMU notifiers of all mms of a machine (mm/mmu_notifier.c): who is told what, in which order, and what they may do.
 *
 * Every call is a path. What it reads and writes is in the {@link Memory} it was made with; a checker may put its steps in any
 * order with the steps of others. Addresses are bytes, ranges half-open, results of the kernel's functions are 0 or -errno.
 *
 * @public
 */
export class NotifierBus {
  /** The kernel's rules in force. */
  readonly rules: BusRules;
  /** Every kernel-level call on an mm that has notifiers, in order; free while nobody observes it. */
  readonly calls: Observable<BusCall>;
  /** What the kernel would WARN about. */
  readonly warnings: Observable<BusWarning>;
  /**
   * What subscribers threw. Who observes it takes care of the errors and the machine goes on; while nobody does, the call
   * throws the first error after it has served everybody.
   */
  readonly faults: Observable<SubscriberError>;
  readonly #state: BusState;
  readonly #list: ListDelivery;
  readonly #registration: Registration;
  readonly #intervals: IntervalNotifiers;
  readonly #streams: StreamSubscribers;
  /** Steps that enter a list, by mm and kind of walk. */
  readonly #enterSteps: (Step | undefined)[][] = [];

  constructor(memory: Memory, rules: BusRules, options: BusOptions = {}) {
    this.rules = rules;
    this.#state = new BusState(memory, rules);
    this.#list = new ListDelivery(this.#state);
    this.#registration = new Registration(memory, this.#state, this.#list, options.kzalloc);
    this.#intervals = new IntervalNotifiers(memory, this.#state, this.#registration, options.invalidateSeqBits ?? 30);
    this.#streams = new StreamSubscribers(this.#state, this.#list, this.#registration);
    const { observers } = this.#state;
    this.calls = observers.calls.asObservable();
    this.warnings = observers.warnings.asObservable();
    this.faults = observers.faults.asObservable();
  }

  // The mm's life

  /** mmu_notifier_subscriptions_init(): an mm is born, without subscriptions. Inside a step, or at set-up. */
  attach(mm: MmHandle): void {
    this.#state.setHandle(mm);
    this.#state.subscriptions.clear(mm.id);
  }

  /**
   * __mmu_notifier_subscriptions_destroy(), at the final mmdrop. Inside a step.
   *
   * @throws BusError BUS_DESTROY_WITH_SUBSCRIBERS
   */
  forget(mm: number): void {
    this.#state.subscriptions.destroy(mm);
  }

  /** mm_has_notifiers(): stays true for the mm's life once anybody registered. Inside a step. */
  hasNotifiers(mm: number): boolean {
    return this.#state.subscriptions.of(mm) !== 0;
  }

  // Calls of the mm

  /**
   * mmu_notifier_invalidate_range_start(): before the change, may sleep. Returns 0: a blockable start cannot fail.
   *
   * @throws ContextError SLEEP_IN_ATOMIC under a spinlock
   */
  invalidateRangeStart(range: MmuNotifierRange): Path<number> {
    return this.#start(range, true);
  }

  /** mmu_notifier_invalidate_range_start_nonblock(): 0, or -EAGAIN, after which the caller must not call end. */
  invalidateRangeStartNonblock(range: MmuNotifierRange): Path<number> {
    return this.#start(range, false);
  }

  /**
   * mmu_notifier_invalidate_range_end(), with the range object that was given to start.
   *
   * @param onlyEnd - mmu_notifier_invalidate_range_only_end(): the hook was called already
   */
  invalidateRangeEnd(range: MmuNotifierRange, onlyEnd = false): Path {
    return this.#end(range, onlyEnd);
  }

  /** The event-less hook, whatever its name: secondary TLBs drop [start, end). Any context; nobody may sleep in it. */
  invalidateRange(mm: number, start: number, end: number): Path {
    return this.#hook(mm, start, end);
  }

  /**
   * set_pte_at_notify()'s change_pte, before the entry at `address` is stored. Under the page-table lock.
   *
   * @throws BusError BUS_CALL_UNKNOWN on kernels without it
   */
  changePte(mm: number, address: number, pte: number): Path {
    if (!this.rules.hasChangePte) throw new BusError("BUS_CALL_UNKNOWN", "this kernel has no change_pte: see BusRules.hasChangePte", { mm });
    return this.#changePte(mm, address, pte);
  }

  /** mmu_notifier_clear_flush_young(): 1 when any subscriber saw an access to [start, end). Asks all. */
  clearFlushYoung(mm: number, start: number, end: number): Path<number> {
    return this.#walk("clear-flush-young", "clear_flush_young", mm, start, end);
  }

  /** mmu_notifier_clear_young(): the same without a flush. */
  clearYoung(mm: number, start: number, end: number): Path<number> {
    return this.#walk("clear-young", "clear_young", mm, start, end);
  }

  /** mmu_notifier_test_young(): stops at the first subscriber that saw an access. */
  testYoung(mm: number, address: number): Path<number> {
    return this.#walk("test-young", "test_young", mm, address, address + 1);
  }

  /**
   * __mmu_notifier_release(), from exit_mmap: intervals first, then the list; then everybody is unhashed and a grace period
   * passes.
   */
  *release(mm: number): Path {
    const { subscriptions, srcu } = this.#state;
    const call: BusCall | undefined = this.#observed ? { call: "release", mm, start: 0, end: ULONG_MAX } : undefined;
    const outcome: Unclaimed = { unclaimed: undefined };
    const range: MmuNotifierRange = { mm, start: 0, end: ULONG_MAX, event: "MMU_NOTIFY_RELEASE", flags: MMU_NOTIFIER_RANGE_BLOCKABLE };
    const entered = yield step("__mmu_notifier_release", () => {
      const head = subscriptions.of(mm);
      if (head === 0) return NO_NOTIFIERS;
      this.#emit(call);
      return subscriptions.hasItree(head) ? this.#intervals.invStart(head, 0, ULONG_MAX) : NOBODY;
    });
    if (entered === NO_NOTIFIERS) return;
    if (entered < 0) {
      yield* this.#intervals.invalidate(range, entered, outcome);
      yield step("mn_itree_inv_end", () => {
        this.#intervals.invEnd(subscriptions.of(mm));
        return 0;
      });
    }
    const listed = yield step("mn_hlist_release: srcu_read_lock", (task) => {
      const first = subscriptions.first(subscriptions.of(mm));
      return first === 0 ? NOBODY : subscriptions.chainFrom(first).id * 2 + this.#state.srcuLock.run(task);
    });
    if (listed !== NOBODY) {
      const callbacks = this.#list.callbacks(listed, RELEASE_SLOT);
      const main = releaseDelivery(mm);
      const i = this.#list.deliver(callbacks, main);
      main.keepLocked = true;
      if (i < callbacks.length) yield* this.#list.walk(listed, RELEASE_SLOT, i, main);
      yield step("hlist_del_init_rcu of all", () => {
        const head = subscriptions.of(mm);
        for (let at = subscriptions.first(head); at !== 0; at = subscriptions.first(head)) subscriptions.unhash(head, at);
        return 0;
      });
      yield this.#list.unlock(listed);
      yield* srcu.synchronize();
      outcome.unclaimed ??= main.unclaimed;
    }
    if (outcome.unclaimed !== undefined) throw outcome.unclaimed;
  }

  // Streams

  /** The notifications of an mm as a stream; subscribing registers. */
  notifications(mm: number): NotificationStream {
    return new NotificationStream(this.#streams, mm);
  }

  /** Subscribes to a stream of this bus without joining the list: for paths that register and unregister in a race. */
  prepare<T>(stream: Observable<T>, observer: NamedObserver<T> | ((value: T) => void)): PreparedSubscription {
    return this.#streams.prepare(stream, observer);
  }

  /** The row of what `subscribe` returned, or 0 when it is not of this bus. */
  subscriptionOf(stream: Subscription): number {
    return this.#streams.rowOf(stream);
  }

  // Registration, as paths

  /** Makes a kind of subscription known, at set-up; the number stands for the kernel's ops pointer. */
  defineOps(ops: NotifierOps): number {
    return this.#state.ops.push(ops) - 1;
  }

  /** The driver's kzalloc of a struct mmu_notifier. Inside a step, or at set-up. */
  allocSubscription(ops: number): number {
    return this.#state.subscriptions.alloc(ops);
  }

  /** The driver's kfree. Inside a step. */
  freeSubscription(subscription: number): void {
    this.#state.subscriptions.free(subscription);
  }

  /** mmu_notifier_register(): takes mmap_lock for writing. 0, -ENOMEM, -EINTR or -EINVAL. */
  register(subscription: number, mm: number): Path<number> {
    return this.#registration.register(subscription, mm);
  }

  /** __mmu_notifier_register(): the caller holds mmap_lock for writing. */
  registerLocked(subscription: number, mm: number): Path<number> {
    return this.#registration.registerLocked(subscription, mm);
  }

  /** mmu_notifier_get(): the mm's subscription of these ops, made if need be; or -errno. */
  get(ops: number, mm: number): Path<number> {
    return this.#registration.get(ops, mm);
  }

  /** mmu_notifier_get_locked(). */
  getLocked(ops: number, mm: number): Path<number> {
    return this.#registration.getLocked(ops, mm);
  }

  /** mmu_notifier_put(): the last one unhashes and leaves the rest to {@link runSrcuCallback} or {@link synchronize}. */
  put(subscription: number): Path {
    return this.#registration.put(subscription);
  }

  /** mmu_notifier_unregister(): may sleep; calls release if exit has not. */
  unregister(subscription: number, mm: number): Path {
    return this.#registration.unregister(subscription, mm);
  }

  /** mmu_notifier_synchronize(): after it, everything that was put is freed. */
  synchronize(): Path {
    return this.#registration.synchronize();
  }

  /** One round of the task that runs call_srcu()'s callbacks; spawn it with `again` where puts are not synchronized. */
  runSrcuCallback(): Path {
    return this.#registration.runCallback();
  }

  // Interval notifiers

  /** Makes a kind of interval known, at set-up. */
  defineIntervalOps(ops: IntervalNotifierOps): number {
    return this.#intervals.defineOps(ops);
  }

  /** The driver's kzalloc of a struct mmu_interval_notifier. Inside a step, or at set-up. */
  allocInterval(ops: number): number {
    return this.#intervals.tree.alloc(ops);
  }

  /** The driver's kfree. Inside a step. */
  freeInterval(interval: number): void {
    this.#intervals.tree.free(interval);
  }

  /** First byte of an interval; inside a step. */
  intervalStart(interval: number): number {
    return this.#intervals.tree.start(interval);
  }

  /** One past the last byte of an interval; inside a step. */
  intervalEnd(interval: number): number {
    return this.#intervals.tree.last(interval) + 1;
  }

  /** mmu_interval_notifier_insert() of `length` bytes: 0, -EOVERFLOW, -EINVAL, or an error of registration. mmap_lock not held. */
  intervalInsert(interval: number, mm: number, start: number, length: number): Path<number> {
    return this.#intervals.insert(interval, mm, start, length);
  }

  /** mmu_interval_notifier_insert_locked(). */
  intervalInsertLocked(interval: number, mm: number, start: number, length: number): Path<number> {
    return this.#intervals.insertLocked(interval, mm, start, length);
  }

  /** mmu_interval_notifier_remove(): may sleep; no lock of the callbacks held. */
  intervalRemove(interval: number): Path {
    return this.#intervals.remove(interval);
  }

  /** mmu_interval_read_begin(): sleeps while the interval is being invalidated; returns the sequence. */
  intervalReadBegin(interval: number): Path<number> {
    return this.#intervals.readBegin(interval);
  }

  /** mmu_interval_read_retry(): 1 when what was read since `seq` must not be used. Under the user lock. */
  intervalReadRetry(interval: number, seq: number): Path<number> {
    return this.#intervals.readRetry(interval, seq);
  }

  /** mmu_interval_check_retry(): without the lock; 1 is certain, 0 is a hint. */
  intervalCheckRetry(interval: number, seq: number): Path<number> {
    return this.#intervals.checkRetry(interval, seq);
  }

  /** mmu_interval_set_seq(): from invalidate only, under the user lock, always. */
  intervalSetSeq(interval: number, curSeq: number): Path {
    return this.#intervals.setSeq(interval, curSeq);
  }

  *#start(range: MmuNotifierRange, blockable: boolean): Path<number> {
    const { mm, start, end, event } = range;
    const index = this.#eventIndex(event);
    const slot = START_SLOT + index;
    const list = this.#list;
    const outcome: Unclaimed = { unclaimed: undefined };
    const flags = blockable ? MMU_NOTIFIER_RANGE_BLOCKABLE : 0;
    if (blockable) yield START_MIGHT_SLEEP;
    yield MAP_ACQUIRE;
    const call: BusCall | undefined = this.#observed ? { call: "invalidate_range_start", mm, start, end, event, flags, owner: range.owner ?? 0 } : undefined;
    let entered = yield call === undefined && !this.#intervals.defined
      ? this.#enterStep(mm, slot, "mmu_notifier_invalidate_range_start")
      : step("mmu_notifier_invalidate_range_start", (task) => this.#enterStart(call, mm, start, end, slot, task));
    let ret = 0;
    let viaIntervals = false;
    if (entered !== NO_NOTIFIERS) {
      setBlockable(range, blockable);
      if (entered < 0) {
        viaIntervals = true;
        ret = yield* this.#intervals.invalidate(range, entered, outcome);
        entered = ret === 0 ? yield this.#enterStep(mm, slot, "mn_hlist_invalidate_range_start") : NOBODY;
      }
      if (entered > NOBODY) {
        const callbacks = list.callbacks(entered, slot);
        const main = new Delivery("start", mm, start, end, event, flags, range.owner ?? 0);
        const i = list.deliver(callbacks, main);
        let locked = 1;
        if (i < callbacks.length) {
          locked = yield* list.walk(entered, slot, i, main);
          if (main.refusals > 0) {
            locked = 0;
            ret = -EAGAIN;
            yield* list.unwind(entered, index, main);
          }
          outcome.unclaimed ??= main.unclaimed;
        }
        if (locked !== 0) yield list.unlock(entered);
        if (ret !== 0 && viaIntervals && this.rules.undoIntervalsOnEagain === true) yield this.#invEndStep(mm);
      }
      if (call !== undefined && ret !== 0) (call as { ret?: number }).ret = ret;
    }
    yield MAP_RELEASE;
    if (outcome.unclaimed !== undefined) throw outcome.unclaimed;
    return blockable ? 0 : ret;
  }

  *#end(range: MmuNotifierRange, onlyEnd: boolean): Path {
    const { mm, start, end, event } = range;
    const slot = (onlyEnd ? ONLY_END_SLOT : END_SLOT) + this.#eventIndex(event);
    const list = this.#list;
    const blockable = isBlockable(range);
    const flags = blockable ? MMU_NOTIFIER_RANGE_BLOCKABLE : 0;
    if (blockable) yield END_MIGHT_SLEEP;
    const call: BusCall | undefined = this.#observed ? { call: "invalidate_range_end", mm, start, end, event, flags, owner: range.owner ?? 0, onlyEnd } : undefined;
    let entered = yield call === undefined && !this.#intervals.defined
      ? this.#enterStep(mm, slot, "mmu_notifier_invalidate_range_end")
      : step("mmu_notifier_invalidate_range_end", (task) => this.#enterEnd(call, mm, slot, task));
    if (entered === NO_NOTIFIERS) return;
    let unclaimed: Error | undefined;
    yield MAP_ACQUIRE;
    if (entered === INTERVALS_PASSED) entered = yield this.#enterStep(mm, slot, "mn_hlist_invalidate_end");
    if (entered > NOBODY) {
      const callbacks = list.callbacks(entered, slot);
      const main = new Delivery("end", mm, start, end, event, flags, range.owner ?? 0);
      const i = list.deliver(callbacks, main);
      if (i === callbacks.length) yield list.unlock(entered);
      else {
        if ((yield* list.walk(entered, slot, i, main)) !== 0) yield list.unlock(entered);
        unclaimed = main.unclaimed;
      }
    }
    yield MAP_RELEASE;
    if (unclaimed !== undefined) throw unclaimed;
  }

  *#hook(mm: number, start: number, end: number): Path {
    yield* this.#walk(this.#state.hookPhase, this.rules.hook, mm, start, end);
  }

  *#changePte(mm: number, address: number, pte: number): Path {
    yield* this.#walk("change-pte", "change_pte", mm, address, address + 1, pte);
  }

  /** A call that goes to the list only and has no event. */
  *#walk(phase: NotificationPhase, name: BusCall["call"], mm: number, start: number, end: number, pte?: number): Path<number> {
    const slot = eventlessSlot(phase);
    const list = this.#list;
    const call: BusCall | undefined = this.#observed ? { call: name, mm, start, end, ...(pte === undefined ? {} : { pte }) } : undefined;
    const entered = yield call === undefined ? this.#enterStep(mm, slot, name) : step(name, (task) => this.#enterCall(call, mm, slot, task));
    if (entered === NO_NOTIFIERS) return 0;
    let young = 0;
    if (entered > NOBODY) {
      const callbacks = list.callbacks(entered, slot);
      const main = new Delivery(phase, mm, start, end, undefined, 0, 0, pte);
      const i = list.deliver(callbacks, main);
      if (i === callbacks.length || (yield* list.walk(entered, slot, i, main)) !== 0) yield list.unlock(entered);
      young = main.young;
      if (main.unclaimed !== undefined) throw main.unclaimed;
    }
    if (call !== undefined && phase.endsWith("young")) (call as { ret?: number }).ret = young;
    return young;
  }

  #eventIndex(event: MmuNotifyEvent): number {
    const index = eventIndex(event);
    if (event === "MMU_NOTIFY_PROTECTION_UPGRADE" && !this.rules.hasUpgradeEvent) {
      throw new BusError("BUS_EVENT_UNKNOWN", "this kernel has no MMU_NOTIFY_PROTECTION_UPGRADE: see BusRules.hasUpgradeEvent", { event });
    }
    return index;
  }

  /** The step that enters a list, made once for each mm and kind of walk. */
  #enterStep(mm: number, slot: number, label: string): Step {
    const steps = (this.#enterSteps[mm] ??= []);
    return (steps[slot] ??= new Step(label, (task) => this.#list.enter(mm, slot, task)));
  }

  #enterStart(call: BusCall | undefined, mm: number, start: number, end: number, slot: number, task: number): number {
    const head = this.#state.subscriptions.of(mm);
    if (head === 0) return NO_NOTIFIERS;
    this.#emit(call);
    if (this.#state.subscriptions.hasItree(head)) return this.#intervals.invStart(head, start, end);
    return this.#list.enter(mm, slot, task);
  }

  #enterEnd(call: BusCall | undefined, mm: number, slot: number, task: number): number {
    const head = this.#state.subscriptions.of(mm);
    if (head === 0) return NO_NOTIFIERS;
    this.#emit(call);
    if (!this.#state.subscriptions.hasItree(head)) return this.#list.enter(mm, slot, task);
    this.#intervals.invEnd(head);
    return INTERVALS_PASSED;
  }

  #enterCall(call: BusCall, mm: number, slot: number, task: number): number {
    if (this.#state.subscriptions.of(mm) === 0) return NO_NOTIFIERS;
    this.#emit(call);
    return this.#list.enter(mm, slot, task);
  }

  #invEndStep(mm: number): Step {
    return step("mn_itree_inv_end", () => {
      this.#intervals.invEnd(this.#state.subscriptions.of(mm));
      return 0;
    });
  }

  get #observed(): boolean {
    return this.#state.observers.calls.observed;
  }

  #emit(call: BusCall | undefined): void {
    if (call !== undefined) this.#state.observers.calls.next(call);
  }
}
