import { isBlockable, type MmuNotifierRange } from "@mmu-notifier/bus";
import { EBUSY, EFAULT, PAGE_SIZE, pagesPerEntry } from "@mmu-notifier/core";
import {
  call,
  type Lock,
  lockAt,
  lockClass,
  mutexLock,
  mutexTrylock,
  mutexUnlock,
  type Path,
  step,
} from "@mmu-notifier/steps";
import type { SecondaryEntry } from "../binding.js";
import type { BindingContext } from "../context.js";
import type { Words } from "../device-memory.js";
import { type DeviceFault, FAULT_ABORT, FAULT_RETRY, type FaultStrategy } from "../fault-strategy.js";
import type { AccessRequest, TranslationStage } from "../hardware/translation.js";
import type { TranslationResult } from "../hardware/translation-result.js";
import { GUP_WRITABLE } from "../host/fault-services.js";
import { pageRange } from "../page-range.js";
import { ShadowStage } from "./shadow-stage.js";

/** How a mirror is built. */
export interface IntervalMirrorOptions {
  /** First page that is mirrored. @defaultValue the first that the page table maps */
  readonly start?: number;
  /** Pages that are mirrored. @defaultValue all that the page table maps */
  readonly pages?: number;
  /**
   * Ranges that are not acted on: the callback returns without moving the sequence. May look at event, owner and flags only. Right
   * when a concurrent reader may install what it looked up before.
   */
  readonly ignores?: (range: MmuNotifierRange) => boolean;
  /**
   * Empties the caches above the table, of pages [start, end): after entries were taken out and after one was replaced. Spins, never
   * sleeps; returns when nothing uses what it dropped.
   */
  readonly flush?: (start: number, end: number) => Path<unknown>;
  /** Token of this driver in ranges that it causes itself. @defaultValue 0, nobody's */
  readonly owner?: number;
}

/** Word of the mirror's memory behind its lock: 1 from insert to remove. */
const MIRRORING = 2;
/** Result of a round that an invalidation overtook. */
const OVERTAKEN = 1;

const USER_LOCK = lockClass("mirror user_lock", "mutex");

/**
 * A table of the driver's own over part of an address space, kept true by an interval notifier: the read_begin, look up,
 * read_retry, install loop of HMM's users (nouveau, mlx5 ODP, test_hmm). One iteration of the loop is one fault; the device's next
 * attempt is the next.
 *
 * @public
 */
export class IntervalMirror implements TranslationStage {
  readonly #context: BindingContext<unknown, unknown>;
  readonly #options: IntervalMirrorOptions;
  readonly #stage: ShadowStage;
  readonly #lock: Lock;
  readonly #words: Words;
  readonly #interval: number;
  readonly #start: number;
  readonly #end: number;

  constructor(context: BindingContext<unknown, unknown>, options: IntervalMirrorOptions = {}) {
    this.#context = context;
    this.#options = options;
    const { bits, first = 0 } = context.geometry;
    const end = first + pagesPerEntry(context.geometry, bits.length);
    this.#start = options.start ?? first;
    this.#end = options.pages === undefined ? end : this.#start + options.pages;
    this.#stage = new ShadowStage(context, "mirror");
    const words = context.memory.words("mirror", 3);
    this.#lock = lockAt(USER_LOCK, words.segment, words.base);
    this.#words = words;
    this.#interval = context.intervals.create({
      name: `${context.driver} ${context.name}`,
      userLock: () => this.#lock,
      invalidate: (interval, range, curSeq) => this.#invalidate(interval, range, curSeq),
    });
  }

  /** Starts mirroring: 0 or -errno. Takes mmap_lock. What a binding's `attach` does. */
  *insert(): Path<number> {
    const length = (this.#end - this.#start) * PAGE_SIZE;
    const result = yield* this.#context.intervals.insert(this.#interval, this.#start * PAGE_SIZE, length);
    if (result === 0) yield step("mirror: on", () => (this.#words.set(MIRRORING, 1), 0));
    return result;
  }

  /** Stops mirroring and drops everything. Later faults are aborted: nothing would tell of changes to what they bring in. */
  *remove(): Path {
    yield mutexLock(this.#lock);
    yield step("mirror: off", () => (this.#words.set(MIRRORING, 0), 0));
    yield* this.#zap(0, Infinity);
    yield mutexUnlock(this.#lock);
    // Last: as long as the table holds an entry somebody has to tell when its page goes.
    yield* this.#context.intervals.remove(this.#interval);
  }

  translate(request: AccessRequest): Path<TranslationResult> {
    return this.#stage.translate(request);
  }

  /** What the table would answer now. */
  peek(vpn: number): TranslationResult {
    return this.#stage.peek(vpn);
  }

  /** The device's driver looks the page up and installs it. */
  strategy(): FaultStrategy {
    return { name: "mirror", handle: (fault) => call("hmm_range_fault loop", this.#fault(fault)) };
  }

  entries(): SecondaryEntry[] {
    return this.#stage.entries();
  }

  /**
   * hmm_range_fault() and its loop for pages [start, start + pages), as a driver that knows what its device is going to use: all of
   * them are in the table at once when it returns.
   *
   * @returns 0 or -errno with nothing installed
   */
  *populate(start: number, pages: number, write: boolean): Path<number> {
    for (;;) {
      const result = yield* this.#round(start, pages, write);
      if (result !== OVERTAKEN) return result;
    }
  }

  /**
   * Page `vpn` belongs to the device alone until somebody else touches it (make_device_exclusive): what device atomics need. An interval
   * that does not ignore EXCLUSIVE ranges of its own `owner` makes this loop retry for ever.
   *
   * @returns 0 or -errno
   */
  *exclusive(vpn: number): Path<number> {
    const { intervals, pages } = this.#context;
    for (;;) {
      const seq = yield* intervals.readBegin(this.#interval);
      const pfn = yield* pages.makeExclusive(vpn, this.#options.owner ?? 0);
      if (pfn === -EBUSY) continue;
      if (pfn < 0) return pfn;
      const result = yield* this.#install(seq, vpn, [pfn * 2 + GUP_WRITABLE], true);
      if (result !== OVERTAKEN) return result;
    }
  }

  *#fault({ vpn, write }: DeviceFault): Path<number> {
    if (vpn < this.#start || vpn >= this.#end) return FAULT_ABORT;
    return (yield* this.#round(vpn, 1, write)) < 0 ? FAULT_ABORT : FAULT_RETRY;
  }

  /** One iteration of the loop: 0, -errno or {@link OVERTAKEN}. */
  *#round(start: number, pages: number, write: boolean): Path<number> {
    const { faults, intervals } = this.#context;
    const seq = yield* intervals.readBegin(this.#interval);
    const found: number[] = [];
    for (let vpn = start; vpn < start + pages; vpn++) {
      const frame = yield* faults.getUserPages(vpn, { write });
      if (frame < 0) return frame;
      found.push(frame);
    }
    return yield* this.#install(seq, start, found, write);
  }

  *#install(seq: number, start: number, found: readonly number[], write: boolean): Path<number> {
    const { intervals } = this.#context;
    const { flush } = this.#options;
    yield mutexLock(this.#lock);
    const mirroring = yield step("mirror: on?", () => this.#words.get(MIRRORING));
    if (mirroring === 0) {
      yield mutexUnlock(this.#lock);
      return -EFAULT;
    }
    const overtaken = yield* intervals.readRetry(this.#interval, seq);
    if (overtaken === 0) {
      const replaced = yield step("mirror: install", () => {
        let before = 0;
        found.forEach((frame, i) => {
          const hostWritable = write || (frame & GUP_WRITABLE) !== 0;
          if (this.#stage.table.get(start + i) !== 0) before++;
          this.#stage.table.install(start + i, Math.floor(frame / 2), { hostWritable, write });
        });
        return before;
      });
      // A cache above may hold the entry that this one replaces, with fewer rights.
      if (replaced > 0 && flush !== undefined) yield* flush(start, start + found.length);
    }
    yield mutexUnlock(this.#lock);
    return overtaken === 0 ? 0 : OVERTAKEN;
  }

  /** Refuses only what must not sleep and would have to. */
  *#invalidate(interval: number, range: MmuNotifierRange, curSeq: number): Path<boolean> {
    if (this.#options.ignores?.(range) === true) return true;
    this.#context.costs.count("callbacks");
    if (isBlockable(range)) yield mutexLock(this.#lock);
    else if ((yield mutexTrylock(this.#lock)) === 0) return false;
    yield* this.#context.intervals.setSeq(interval, curSeq);
    const { start, end } = pageRange(range);
    yield* this.#zap(start, end);
    yield mutexUnlock(this.#lock);
    return true;
  }

  *#zap(start: number, end: number): Path {
    const zapped = yield* this.#stage.zap(start, end);
    if (zapped > 0 && this.#options.flush !== undefined) yield* this.#options.flush(start, end);
  }
}
