import type { Memory, Path } from "@mmu-notifier/steps";
import type { Observable, Subscription } from "rxjs";
import { BusState } from "./bus-state.js";
import { Calls } from "./calls.js";
import { BusError, type SubscriberError } from "./errors.js";
import { withoutResult } from "./hand-written-path.js";
import { IntervalDelivery, type IntervalNotifierOps } from "./interval-delivery.js";
import { IntervalNotifiers } from "./interval-notifiers.js";
import { ListDelivery } from "./list-delivery.js";
import type { MmHandle } from "./mm-handle.js";
import { type NamedObserver, NotificationStream } from "./notification-stream.js";
import type { NotifierOps } from "./notifier-ops.js";
import type { BusCall, BusWarning } from "./observers.js";
import type { MmuNotifierRange } from "./range.js";
import { Registration } from "./registration.js";
import { release } from "./release.js";
import type { BusRules } from "./rules.js";
import { SrcuCallbacks } from "./srcu-callbacks.js";
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

/** State of the interval protocol of one mm. */
export interface IntervalState {
  /** mmu_notifier_subscriptions->invalidate_seq. */
  readonly seq: number;
  /** active_invalidate_ranges. */
  readonly active: number;
  /** Intervals on the deferred list. */
  readonly deferred: number;
  /** Intervals in the tree or deferred whose own sequence is even: none in a kernel without bugs. */
  readonly evenIntervals: number;
}

/** A subscriber of a stream that is not yet on any list. */
export interface PreparedSubscription {
  /** For {@link NotifierBus.register}, `unregister` and `put`. */
  readonly subscription: number;
  /** Ends it at once, at tear-down. */
  readonly stream: Subscription;
}

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
  readonly #calls: Calls;
  readonly #registration: Registration;
  readonly #list: ListDelivery;
  readonly #callbacks: SrcuCallbacks;
  readonly #hits: IntervalDelivery;
  readonly #intervals: IntervalNotifiers;
  readonly #streams: StreamSubscribers;

  constructor(memory: Memory, rules: BusRules, options: BusOptions = {}) {
    this.rules = rules;
    this.#state = new BusState(memory, rules);
    const list = new ListDelivery(this.#state);
    this.#list = list;
    this.#registration = new Registration(this.#state, list, options.kzalloc);
    this.#callbacks = new SrcuCallbacks(memory, this.#state);
    this.#hits = new IntervalDelivery(memory, this.#state, options.invalidateSeqBits ?? 30);
    this.#intervals = new IntervalNotifiers(this.#state, this.#registration, this.#hits);
    this.#calls = new Calls(this.#state, list, this.#hits);
    this.#streams = new StreamSubscribers(this.#state, list, this.#registration);
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

  /** Nobody is on the list of an mm that has had one and has no intervals: once it exits, release has told everybody. For checkers. */
  released(mm: number): boolean {
    const { subscriptions } = this.#state;
    const head = subscriptions.of(mm);
    return head !== 0 && !subscriptions.hasItree(head) && subscriptions.first(head) === 0;
  }

  /** The words of the interval protocol, for checkers; undefined for an mm without intervals. */
  intervalState(mm: number): IntervalState | undefined {
    const { subscriptions } = this.#state;
    const head = subscriptions.of(mm);
    if (head === 0 || !subscriptions.hasItree(head)) return undefined;
    return { seq: subscriptions.seq(head), active: subscriptions.active(head), ...this.#hits.tree.count(mm) };
  }

  // Calls of the mm

  /**
   * mmu_notifier_invalidate_range_start(): before the change, may sleep. Returns 0: a blockable start cannot fail.
   *
   * @throws ContextError SLEEP_IN_ATOMIC under a spinlock
   */
  invalidateRangeStart(range: MmuNotifierRange): Path<number> {
    return this.#calls.start(range, true);
  }

  /** mmu_notifier_invalidate_range_start_nonblock(): 0, or -EAGAIN, after which the caller must not call end. */
  invalidateRangeStartNonblock(range: MmuNotifierRange): Path<number> {
    return this.#calls.start(range, false);
  }

  /**
   * mmu_notifier_invalidate_range_end(), with the range object that was given to start.
   *
   * @param onlyEnd - mmu_notifier_invalidate_range_only_end(): the hook was called already
   */
  invalidateRangeEnd(range: MmuNotifierRange, onlyEnd = false): Path {
    return withoutResult(this.#calls.end(range, onlyEnd));
  }

  /** The event-less hook, whatever its name: secondary TLBs drop [start, end). Any context; nobody may sleep in it. */
  invalidateRange(mm: number, start: number, end: number): Path {
    return withoutResult(this.#calls.list(this.#state.hookPhase, this.rules.hook, mm, start, end));
  }

  /**
   * set_pte_at_notify()'s change_pte, before the entry at `address` is stored. Under the page-table lock.
   *
   * @throws BusError BUS_CALL_UNKNOWN on kernels without it
   */
  changePte(mm: number, address: number, pte: number): Path {
    if (!this.rules.hasChangePte)
      throw new BusError("BUS_CALL_UNKNOWN", "this kernel has no change_pte: see BusRules.hasChangePte", { mm });
    return withoutResult(this.#calls.list("change-pte", "change_pte", mm, address, address + 1, pte));
  }

  /** mmu_notifier_clear_flush_young(): 1 when any subscriber saw an access to [start, end). Asks all. */
  clearFlushYoung(mm: number, start: number, end: number): Path<number> {
    return this.#calls.list("clear-flush-young", "clear_flush_young", mm, start, end);
  }

  /** mmu_notifier_clear_young(): the same without a flush. */
  clearYoung(mm: number, start: number, end: number): Path<number> {
    return this.#calls.list("clear-young", "clear_young", mm, start, end);
  }

  /** mmu_notifier_test_young(): stops at the first subscriber that saw an access. */
  testYoung(mm: number, address: number): Path<number> {
    return this.#calls.list("test-young", "test_young", mm, address, address + 1);
  }

  /**
   * __mmu_notifier_release(), from exit_mmap: intervals first, then the list; then everybody is unhashed and a grace period
   * passes.
   */
  release(mm: number): Path {
    return release(this.#state, this.#list, this.#hits, mm);
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
    return this.#callbacks.put(subscription);
  }

  /** mmu_notifier_unregister(): may sleep; calls release if exit has not. */
  unregister(subscription: number, mm: number): Path {
    return this.#registration.unregister(subscription, mm);
  }

  /** mmu_notifier_synchronize(): after it, everything that was put is freed. */
  synchronize(): Path {
    return this.#callbacks.synchronize();
  }

  /** One round of the task that runs call_srcu()'s callbacks; spawn it with `again` where puts are not synchronized. */
  runSrcuCallback(): Path {
    return this.#callbacks.runCallback();
  }

  // Interval notifiers

  /** Makes a kind of interval known, at set-up. */
  defineIntervalOps(ops: IntervalNotifierOps): number {
    return this.#hits.defineOps(ops);
  }

  /** The driver's kzalloc of a struct mmu_interval_notifier. Inside a step, or at set-up. */
  allocInterval(ops: number): number {
    return this.#hits.tree.alloc(ops);
  }

  /** The driver's kfree. Inside a step. */
  freeInterval(interval: number): void {
    this.#hits.tree.free(interval);
  }

  /** First byte of an interval; inside a step. */
  intervalStart(interval: number): number {
    return this.#hits.tree.start(interval);
  }

  /** One past the last byte of an interval; inside a step. */
  intervalEnd(interval: number): number {
    return this.#hits.tree.last(interval) + 1;
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
}
