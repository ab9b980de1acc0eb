import type { Memory, Segment } from "@mmu-notifier/steps";
import { type Chain, Chains } from "./chain.js";
import { BusError } from "./errors.js";
import type { Subscriptions } from "./subscriptions.js";

// struct mmu_interval_notifier. `start` and `last` are doubles, at words 2 and 4.
const OPS = 1;
const START = 1;
const LAST = 2;
const NEXT = 6;
const NEXT_DEFERRED = 7;
const INVALIDATE_SEQ = 8;
const IN_TREE = 9;
const DEFERRED = 10;
const MM = 11;
const WORDS = 12;
const DOUBLES = WORDS / 2;

/**
 * The words of the interval notifiers of all mms: a tree (a list ordered by start) and a deferred list for each mm. To be used
 * inside steps.
 */
export class IntervalTree {
  readonly rows: Segment;
  readonly #subscriptions: Subscriptions;
  readonly #hits = new Chains([], 0, false);

  constructor(memory: Memory, subscriptions: Subscriptions) {
    this.rows = memory.segment("mmu_interval_notifier", WORDS);
    this.#subscriptions = subscriptions;
  }

  alloc(ops: number): number {
    const interval = this.rows.alloc();
    this.#hits.code(ops, interval);
    this.rows.i32[interval * WORDS + OPS] = ops;
    return interval;
  }

  free(interval: number): void {
    this.check(interval);
    if (this.isInTree(interval) || this.isDeferred(interval)) {
      throw new BusError(
        "BUS_FREE_IN_USE",
        `interval ${interval} is freed while it is inserted: the next invalidation would use freed memory. Remove it first`,
        { interval },
      );
    }
    this.rows.free(interval);
  }

  check(interval: number): void {
    if (!this.rows.isLive(interval))
      throw new BusError("BUS_NOT_ALLOCATED", `interval ${interval} is not allocated: it was freed, or never made`, {
        interval,
      });
  }

  opsOf(interval: number): number {
    return this.rows.i32[interval * WORDS + OPS]!;
  }

  mm(interval: number): number {
    return this.rows.i32[interval * WORDS + MM]!;
  }

  /** Fills the fields of an interval that is about to be inserted; `last` is inclusive, as in the kernel's tree. */
  init(interval: number, mm: number, start: number, last: number): void {
    this.rows.i32[interval * WORDS + MM] = mm;
    this.rows.f64[interval * DOUBLES + START] = start;
    this.rows.f64[interval * DOUBLES + LAST] = last;
  }

  start(interval: number): number {
    return this.rows.f64[interval * DOUBLES + START]!;
  }

  last(interval: number): number {
    return this.rows.f64[interval * DOUBLES + LAST]!;
  }

  seq(interval: number): number {
    return this.rows.i32[interval * WORDS + INVALIDATE_SEQ]!;
  }

  setSeq(interval: number, seq: number): void {
    this.rows.i32[interval * WORDS + INVALIDATE_SEQ] = seq;
  }

  /** !RB_EMPTY_NODE(). */
  isInTree(interval: number): boolean {
    return this.rows.i32[interval * WORDS + IN_TREE] !== 0;
  }

  isDeferred(interval: number): boolean {
    return this.rows.i32[interval * WORDS + DEFERRED] !== 0;
  }

  /** interval_tree_insert(): behind those that start at the same byte. */
  insert(head: number, interval: number): void {
    const start = this.start(interval);
    let before = 0;
    let at = this.#subscriptions.itree(head);
    while (at !== 0 && this.start(at) <= start) {
      before = at;
      at = this.#next(at);
    }
    this.rows.i32[interval * WORDS + NEXT] = at;
    this.rows.i32[interval * WORDS + IN_TREE] = 1;
    if (before === 0) this.#subscriptions.setItree(head, interval);
    else this.rows.i32[before * WORDS + NEXT] = interval;
  }

  /** interval_tree_remove(). */
  remove(head: number, interval: number): void {
    let at = this.#subscriptions.itree(head);
    if (at === interval) this.#subscriptions.setItree(head, this.#next(interval));
    else {
      while (this.#next(at) !== interval) at = this.#next(at);
      this.rows.i32[at * WORDS + NEXT] = this.#next(interval);
    }
    this.rows.i32[interval * WORDS + NEXT] = 0;
    this.rows.i32[interval * WORDS + IN_TREE] = 0;
  }

  /** hlist_add_head(&deferred_item, &deferred_list). */
  defer(head: number, interval: number): void {
    this.rows.i32[interval * WORDS + NEXT_DEFERRED] = this.#subscriptions.deferred(head);
    this.rows.i32[interval * WORDS + DEFERRED] = 1;
    this.#subscriptions.setDeferred(head, interval);
  }

  /** hlist_del(&deferred_item). */
  undefer(head: number, interval: number): void {
    const next = this.rows.i32[interval * WORDS + NEXT_DEFERRED]!;
    let at = this.#subscriptions.deferred(head);
    if (at === interval) this.#subscriptions.setDeferred(head, next);
    else {
      while (this.rows.i32[at * WORDS + NEXT_DEFERRED] !== interval) at = this.rows.i32[at * WORDS + NEXT_DEFERRED]!;
      this.rows.i32[at * WORDS + NEXT_DEFERRED] = next;
    }
    this.rows.i32[interval * WORDS + NEXT_DEFERRED] = 0;
    this.rows.i32[interval * WORDS + DEFERRED] = 0;
  }

  /** Does what was deferred: inserts what is not in the tree, removes what is. */
  settle(head: number): void {
    for (let at = this.#subscriptions.deferred(head); at !== 0; at = this.#subscriptions.deferred(head)) {
      this.undefer(head, at);
      if (this.isInTree(at)) this.remove(head, at);
      else this.insert(head, at);
    }
  }

  /** The intervals that intersect [start, end), in the tree's order. */
  hits(head: number, start: number, end: number): Chain {
    let chain = this.#hits.empty;
    for (let at = this.#subscriptions.itree(head); at !== 0 && this.start(at) < end; at = this.#next(at)) {
      if (this.last(at) >= start) chain = chain.followedBy((this.rows.i32[at * WORDS + OPS]! << 16) | at);
    }
    return chain;
  }

  /** Intervals of an mm that wait on the deferred list, and those in the tree or there whose sequence is even. */
  count(mm: number): { readonly deferred: number; readonly evenIntervals: number } {
    let deferred = 0;
    let evenIntervals = 0;
    for (let interval = 1; interval < this.rows.used; interval++) {
      if (!this.rows.isLive(interval) || this.mm(interval) !== mm) continue;
      const waits = this.isDeferred(interval);
      if (waits) deferred++;
      if ((waits || this.isInTree(interval)) && this.seq(interval) % 2 === 0) evenIntervals++;
    }
    return { deferred, evenIntervals };
  }

  /** The hits that a number stands for. */
  hitsAt(chain: number): Chain {
    return this.#hits.at(chain);
  }

  #next(interval: number): number {
    return this.rows.i32[interval * WORDS + NEXT]!;
  }
}
