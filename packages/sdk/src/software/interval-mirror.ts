import { isBlockable, type MmuNotifierRange } from "@mmu-notifier/bus";
import { PAGE_SIZE } from "@mmu-notifier/core";
import {
  call,
  type Lock,
  lockAt,
  lockClass,
  mutexLock,
  mutexTrylock,
  mutexUnlock,
  type Path,
  spinUntil,
  step,
} from "@mmu-notifier/steps";
import type { SecondaryEntry } from "../binding.js";
import type { BindingContext } from "../context.js";
import { type DeviceFault, FAULT_ABORT, FAULT_RETRY, type FaultStrategy } from "../fault-strategy.js";
import type { AccessRequest, TranslationStage } from "../hardware/translation.js";
import {
  F_PERMISSION,
  F_TRANSLATION,
  LEAF_READ,
  LEAF_WRITE,
  leafAllows,
  packLeaf,
  type TranslationResult,
} from "../hardware/translation-result.js";
import { GUP_WRITABLE } from "../host/fault-services.js";
import { InFlight } from "../hardware/in-flight.js";
import { pageRange } from "../page-range.js";
import { ShadowTable, SPTE_PRESENT, SPTE_WRITABLE } from "./shadow-table.js";

/** How a mirror is built. */
export interface IntervalMirrorOptions {
  /** First page and number of pages that are mirrored. */
  readonly start: number;
  readonly pages: number;
  /**
   * Ranges that are not acted on: the callback returns without moving the sequence. May look at event, owner and flags only. Right when a concurrent reader
   * may install what it looked up before.
   */
  readonly ignores?: (range: MmuNotifierRange) => boolean;
}

const USER_LOCK = lockClass("mirror user_lock", "mutex");
const TAG = 0;

/**
 * A table of the driver's own over part of an address space, kept true by an interval notifier: the read_begin, look up, read_retry, install loop of
 * HMM's users (nouveau, mlx5 ODP, test_hmm). One iteration of the loop is one fault; the device's next attempt is the next.
 *
 * @public
 */
export class IntervalMirror implements TranslationStage {
  readonly #context: BindingContext<unknown, unknown>;
  readonly #options: IntervalMirrorOptions;
  readonly #table: ShadowTable;
  readonly #inFlight: InFlight;
  readonly #lock: Lock;
  readonly #interval: number;

  constructor(context: BindingContext<unknown, unknown>, options: IntervalMirrorOptions) {
    this.#context = context;
    this.#options = options;
    this.#table = new ShadowTable(context);
    this.#inFlight = new InFlight(context.memory, "mirror");
    const words = context.memory.words("mirror", 2);
    this.#lock = lockAt(USER_LOCK, words.segment, words.base);
    this.#interval = context.intervals.create({
      name: context.name,
      userLock: () => this.#lock,
      invalidate: (interval, range, curSeq) => this.#invalidate(interval, range, curSeq),
    });
  }

  /** Starts mirroring: 0 or -errno. Takes mmap_lock. */
  insert(): Path<number> {
    return this.#context.intervals.insert(
      this.#interval,
      this.#options.start * PAGE_SIZE,
      this.#options.pages * PAGE_SIZE,
    );
  }

  /** Stops mirroring and drops everything. */
  *remove(): Path {
    yield* this.#context.intervals.remove(this.#interval);
    yield mutexLock(this.#lock);
    yield* this.#zap(0, Infinity);
    yield mutexUnlock(this.#lock);
  }

  *translate(request: AccessRequest): Path<TranslationResult> {
    const { vpn, write } = request;
    const result = yield step("mirror lookup", () => {
      const leaf = this.peek(vpn);
      if (leaf <= 0) return leaf;
      if (!leafAllows(leaf, write)) return F_PERMISSION;
      return this.#inFlight.use(TAG, vpn) * 2 ** 32 + leaf;
    });
    if (result <= 0) return result;
    request.hold(this.#inFlight, Math.floor(result / 2 ** 32));
    return result % 2 ** 32;
  }

  /** What the table would answer now. */
  peek(vpn: number): TranslationResult {
    const spte = this.#table.get(vpn);
    if ((spte & SPTE_PRESENT) === 0) return F_TRANSLATION;
    return packLeaf(ShadowTable.pfn(spte), 0, LEAF_READ | ((spte & SPTE_WRITABLE) !== 0 ? LEAF_WRITE : 0));
  }

  /** The device's driver looks the page up and installs it. */
  strategy(): FaultStrategy {
    return { name: "mirror", handle: (fault) => call("hmm_range_fault loop", this.#fault(fault)) };
  }

  entries(): SecondaryEntry[] {
    return this.#table.entries().map(({ gfn, spte }) => ({
      where: "mirror",
      vpn: gfn,
      pages: 1,
      pfn: ShadowTable.pfn(spte),
      read: (spte & SPTE_PRESENT) !== 0,
      write: (spte & SPTE_WRITABLE) !== 0,
    }));
  }

  *#fault({ vpn, write }: DeviceFault): Path<number> {
    const { faults, intervals } = this.#context;
    if (vpn < this.#options.start || vpn >= this.#options.start + this.#options.pages) return FAULT_ABORT;
    const seq = yield* intervals.readBegin(this.#interval);
    const found = yield* faults.getUserPages(vpn, { write });
    if (found < 0) return FAULT_ABORT;
    yield mutexLock(this.#lock);
    if ((yield* intervals.readRetry(this.#interval, seq)) === 0) {
      yield step("mirror: install", () => {
        this.#table.install(vpn, Math.floor(found / 2), { hostWritable: write || (found & GUP_WRITABLE) !== 0, write });
        return 0;
      });
    }
    yield mutexUnlock(this.#lock);
    return FAULT_RETRY;
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

  /** Drops entries and waits for accesses that use them; a wait that does not sleep. */
  *#zap(start: number, end: number): Path {
    const zapped = yield step("mirror: zap", () => {
      this.#inFlight.cover(TAG, start, end);
      const count = this.#table.zap(start, end);
      this.#context.costs.count("zaps", count);
      return count;
    });
    if (zapped > 0) yield spinUntil("mirror: device quiet", () => this.#inFlight.drained);
  }
}
