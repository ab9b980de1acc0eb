import type { IntervalNotifierOps, NotifierBus } from "@mmu-notifier/bus";
import type { Path } from "@mmu-notifier/steps";

/** Interval notifiers of one address space (struct mmu_interval_notifier). Bytes, half-open. */
export interface IntervalServices {
  /** Makes an interval with its callback, on no tree yet; at set-up. */
  create(ops: IntervalNotifierOps): number;
  /** mmu_interval_notifier_insert(): 0 or -errno. */
  insert(interval: number, start: number, length: number): Path<number>;
  /** mmu_interval_notifier_remove(). */
  remove(interval: number): Path;
  /** mmu_interval_read_begin(): sleeps while the interval is being invalidated. */
  readBegin(interval: number): Path<number>;
  /** mmu_interval_read_retry(): 1 when what was read since must not be used. Under the lock that the callback takes. */
  readRetry(interval: number, seq: number): Path<number>;
  /** mmu_interval_set_seq(): from the callback, under its lock, always. */
  setSeq(interval: number, curSeq: number): Path;
}

/** The interval notifiers of `mm`. */
export function intervalServices(bus: NotifierBus, mm: number): IntervalServices {
  return {
    create: (ops) => bus.allocInterval(bus.defineIntervalOps(ops)),
    insert: (interval, start, length) => bus.intervalInsert(interval, mm, start, length),
    remove: (interval) => bus.intervalRemove(interval),
    readBegin: (interval) => bus.intervalReadBegin(interval),
    readRetry: (interval, seq) => bus.intervalReadRetry(interval, seq),
    setSeq: (interval, curSeq) => bus.intervalSetSeq(interval, curSeq),
  };
}
