import { isBlockable, type MmuNotifierRange } from "@mmu-notifier/bus";
import { EFAULT, PAGE_SIZE, pagesPerEntry } from "@mmu-notifier/core";
import {
  call,
  type Lock,
  lockAt,
  lockClass,
  mutexLock,
  mutexTrylock,
  mutexUnlock,
  type Path,
  type Segment,
  type Step,
  step,
} from "@mmu-notifier/steps";
import type { SecondaryEntry } from "../binding.js";
import type { BindingContext } from "../context.js";
import type { Words } from "../device-memory.js";
import { type DeviceFault, FAULT_ABORT, FAULT_RETRY, type FaultStrategy } from "../fault-strategy.js";
import type { AccessRequest, TranslationStage } from "../hardware/translation.js";
import type { TranslationResult } from "../hardware/translation-result.js";
import { pageRange } from "../page-range.js";
import { ShadowStage } from "./shadow-stage.js";

const PFN = 1;
const VPN = 1; // as a double: words 2 and 3
const STRIDE = 4;

/** Words: the lock is at 0. */
const STOPPED = 2;
const RELEASED = 1;
const REMOVED = 2;

/** Result of a pin that an unmap overtook: nothing is pinned, the device tries again. */
const OVERTAKEN = 1;

const COVER_MUTEX = lockClass("pinned pages", "mutex");

/**
 * Pages that a driver has pinned for its device (FOLL_LONGTERM): they cannot move, and their content cannot be replaced by a copy,
 * so no event but UNMAP matters. After an unmap the frames stay the device's, but they are not the memory of that address any more:
 * an interval notifier takes them out of the table, as hfi1's does. What was taken out stays pinned until {@link unpin}.
 *
 * @public
 */
export class PinnedPages implements TranslationStage {
  readonly #stage: ShadowStage;
  readonly #context: BindingContext<unknown, unknown>;
  /** One row a pin, those of pages that are unmapped meanwhile too. */
  readonly #pins: Segment;
  readonly #lock: Lock;
  readonly #words: Words;
  readonly #interval: number;

  constructor(context: BindingContext<unknown, unknown>) {
    this.#context = context;
    this.#stage = new ShadowStage(context, "pinned");
    this.#pins = context.memory.segment("pins", STRIDE, 4);
    this.#words = context.memory.words("pinned", 4);
    this.#lock = lockAt(COVER_MUTEX, this.#words.segment, this.#words.base);
    this.#interval = context.intervals.create({
      name: `${context.driver} ${context.name}`,
      userLock: () => this.#lock,
      invalidate: (interval, range, curSeq) => this.#invalidate(interval, range, curSeq),
    });
  }

  /** Begins to hear of unmaps, of the whole address space: 0 or -errno. What a binding's `attach` does. */
  insert(): Path<number> {
    const { geometry } = this.#context;
    const { bits, first = 0 } = geometry;
    const pages = pagesPerEntry(geometry, bits.length);
    return this.#context.intervals.insert(this.#interval, first * PAGE_SIZE, pages * PAGE_SIZE);
  }

  /** Hears of nothing any more, and unpins everything; every later pin fails. A second time it does nothing. */
  *remove(): Path {
    const stopped = yield step("pinned: stop", () => {
      const before = this.#words.get(STOPPED);
      this.#words.set(STOPPED, REMOVED);
      return before;
    });
    if (stopped === REMOVED) return;
    yield* this.#context.intervals.remove(this.#interval);
    yield* this.unpin(0, Infinity);
  }

  translate(request: AccessRequest): Path<TranslationResult> {
    return this.#stage.translate(request);
  }

  /** What the table would answer now. */
  peek(vpn: number): TranslationResult {
    return this.#stage.peek(vpn);
  }

  /** Pins the page that a device faulted on: for hardware that can wait, and drivers that register memory as it is used. */
  strategy(): FaultStrategy {
    return { name: "pin", handle: (fault) => call("pin on fault", this.#fault(fault)) };
  }

  /**
   * Pins page `vpn` and maps it; a page that is pinned already is left as it is when it has the right, or pinned once more. Sleeps;
   * takes mmap_lock.
   *
   * @returns 0, -errno, or 1 when the page was unmapped meanwhile: nothing is pinned then
   */
  *pin(vpn: number, write: boolean): Path<number> {
    const { intervals, pages } = this.#context;
    if ((yield this.#stopped()) !== 0) return -EFAULT;
    const seq = yield* intervals.readBegin(this.#interval);
    const pfn = yield* pages.pin(vpn, write);
    if (pfn < 0) return pfn;
    yield mutexLock(this.#lock);
    let overtaken = yield* intervals.readRetry(this.#interval, seq);
    if (overtaken === 0) overtaken = yield this.#stopped();
    if (overtaken === 0) {
      yield step("pinned: map", () => {
        const row = this.#pins.alloc();
        this.#pins.i32[row * STRIDE + PFN] = pfn;
        this.#pins.f64[(row * STRIDE) / 2 + VPN] = vpn;
        this.#stage.table.install(vpn, pfn, { hostWritable: write, write });
        return 0;
      });
    }
    yield mutexUnlock(this.#lock);
    if (overtaken !== 0) yield* pages.unpin(pfn);
    return overtaken === 0 ? 0 : OVERTAKEN;
  }

  /** Unmaps and unpins pages [start, end), those that the address space does not have any more too. */
  *unpin(start: number, end: number): Path {
    yield mutexLock(this.#lock);
    yield* this.#stage.zap(start, end);
    yield mutexUnlock(this.#lock);
    for (;;) {
      const pfn = yield step("pinned: next pin", () => this.#take(start, end));
      if (pfn === 0) return;
      yield* this.#context.pages.unpin(pfn);
    }
  }

  entries(): SecondaryEntry[] {
    return this.#stage.entries();
  }

  /** Pins that are held. */
  get count(): number {
    return this.#pins.live;
  }

  *#fault({ vpn, write }: DeviceFault): Path<number> {
    return (yield* this.pin(vpn, write)) < 0 ? FAULT_ABORT : FAULT_RETRY;
  }

  *#invalidate(interval: number, range: MmuNotifierRange, curSeq: number): Path<boolean> {
    if (range.event !== "MMU_NOTIFY_UNMAP" && range.event !== "MMU_NOTIFY_RELEASE") return true;
    this.#context.costs.count("callbacks");
    if (isBlockable(range)) yield mutexLock(this.#lock);
    else if ((yield mutexTrylock(this.#lock)) === 0) return false;
    yield* this.#context.intervals.setSeq(interval, curSeq);
    if (range.event === "MMU_NOTIFY_RELEASE") yield this.#release();
    const { start, end } = pageRange(range);
    yield* this.#stage.zap(start, end);
    yield mutexUnlock(this.#lock);
    return true;
  }

  /** Nothing may be pinned any more: the binding ended, or the process is gone. */
  #stopped(): Step {
    return step("pinned: stopped?", () => (this.#words.get(STOPPED) === 0 ? 0 : 1));
  }

  /** The process is gone; the interval is still on its tree. */
  #release(): Step {
    return step("pinned: process gone", () => {
      if (this.#words.get(STOPPED) === 0) this.#words.set(STOPPED, RELEASED);
      return 0;
    });
  }

  #take(start: number, end: number): number {
    for (let row = this.#pins.used - 1; row >= 1; row--) {
      if (!this.#pins.isLive(row)) continue;
      const vpn = this.#pins.f64[(row * STRIDE) / 2 + VPN]!;
      if (vpn < start || vpn >= end) continue;
      const pfn = this.#pins.i32[row * STRIDE + PFN]!;
      this.#pins.free(row);
      return pfn;
    }
    return 0;
  }
}
