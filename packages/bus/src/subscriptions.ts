import { type Memory, type Segment, Vectors } from "@mmu-notifier/steps";
import type { Chain, Chains } from "./chain.js";
import { BusError } from "./errors.js";
import type { Interest } from "./interest.js";

// struct mmu_notifier_subscriptions
const FIRST = 1;
const HAS_ITREE = 2;
const INVALIDATE_SEQ = 3;
const ACTIVE = 4;
const ITREE = 5;
const DEFERRED = 6;
const WAIT_QUEUE = 7;
/** Not in the kernel: what anybody on the list wants, so that a list nobody of which wants a call is not walked. */
const INTEREST = 8;
const SUBSCRIPTIONS_WORDS = 10;

// struct mmu_notifier
const OPS = 1;
const NEXT = 2;
const HASHED = 3;
const USERS = 4;
const MM = 5;
const STATE = 6;
const NEXT_TO_FREE = 7;
const SUBSCRIPTION_WORDS = 8;

/** Life of a subscription's row. */
export const ALLOCATED = 0;
/** It holds a reference to its mm. */
export const REGISTERED = 1;
/** Its stream was unsubscribed while somebody may still stand on it. */
export const ABANDONED = 2;

/** The pointer of an mm whose last reference was dropped. */
const POISON = -1;
/** invalidate_seq of a new mm: even, idle. */
const FIRST_SEQ = 2;

/** The words of `mm->notifier_subscriptions` and of the subscriptions hashed there. To be used inside steps. */
export class Subscriptions {
  readonly heads: Segment;
  readonly rows: Segment;
  readonly #pointers: Vectors;
  readonly #pointerList: number;
  readonly #chains: Chains;

  constructor(memory: Memory, chains: Chains) {
    this.#pointers = new Vectors(memory, "mm->notifier_subscriptions");
    this.#pointerList = this.#pointers.create();
    this.heads = memory.segment("mmu_notifier_subscriptions", SUBSCRIPTIONS_WORDS, 4);
    this.rows = memory.segment("mmu_notifier", SUBSCRIPTION_WORDS);
    this.#chains = chains;
  }

  /** `mm->notifier_subscriptions`: 0 when there is none. */
  of(mm: number): number {
    const head = this.#pointers.at(this.#pointerList, mm);
    return head > 0 ? head : 0;
  }

  isPoisoned(mm: number): boolean {
    return this.#pointers.at(this.#pointerList, mm) === POISON;
  }

  /** A new mm has no subscriptions. */
  clear(mm: number): void {
    this.#pointers.set(this.#pointerList, mm, 0);
  }

  /** Publishes the structure of an mm that has none. */
  publish(mm: number): number {
    const head = this.heads.alloc();
    this.heads.i32[head * SUBSCRIPTIONS_WORDS + INVALIDATE_SEQ] = FIRST_SEQ;
    this.#pointers.set(this.#pointerList, mm, head);
    return head;
  }

  /** __mmu_notifier_subscriptions_destroy(). */
  destroy(mm: number): void {
    const head = this.of(mm);
    if (head !== 0) {
      if (this.first(head) !== 0) {
        throw new BusError(
          "BUS_DESTROY_WITH_SUBSCRIBERS",
          `mm ${mm} is freed while subscriptions are on its list: kernel BUG at __mmu_notifier_subscriptions_destroy. Unregister or release before the last mmdrop`,
          { mm },
        );
      }
      this.heads.free(head);
    }
    this.#pointers.set(this.#pointerList, mm, POISON);
  }

  first(head: number): number {
    return this.heads.i32[head * SUBSCRIPTIONS_WORDS + FIRST]!;
  }

  hasItree(head: number): boolean {
    return this.heads.i32[head * SUBSCRIPTIONS_WORDS + HAS_ITREE] !== 0;
  }

  setHasItree(head: number): void {
    this.heads.i32[head * SUBSCRIPTIONS_WORDS + HAS_ITREE] = 1;
  }

  /** Word index of `wq` in {@link heads}. */
  waitQueueAt(head: number): number {
    return head * SUBSCRIPTIONS_WORDS + WAIT_QUEUE;
  }

  seq(head: number): number {
    return this.heads.i32[head * SUBSCRIPTIONS_WORDS + INVALIDATE_SEQ]!;
  }

  setSeq(head: number, seq: number): void {
    this.heads.i32[head * SUBSCRIPTIONS_WORDS + INVALIDATE_SEQ] = seq;
  }

  active(head: number): number {
    return this.heads.i32[head * SUBSCRIPTIONS_WORDS + ACTIVE]!;
  }

  addActive(head: number, by: number): number {
    const at = head * SUBSCRIPTIONS_WORDS + ACTIVE;
    return (this.heads.i32[at] = this.heads.i32[at]! + by);
  }

  itree(head: number): number {
    return this.heads.i32[head * SUBSCRIPTIONS_WORDS + ITREE]!;
  }

  setItree(head: number, interval: number): void {
    this.heads.i32[head * SUBSCRIPTIONS_WORDS + ITREE] = interval;
  }

  deferred(head: number): number {
    return this.heads.i32[head * SUBSCRIPTIONS_WORDS + DEFERRED]!;
  }

  setDeferred(head: number, interval: number): void {
    this.heads.i32[head * SUBSCRIPTIONS_WORDS + DEFERRED] = interval;
  }

  /** Allocates a subscription of kind `ops`, not yet on any list. */
  alloc(ops: number): number {
    const row = this.rows.alloc();
    this.#chains.code(ops, row);
    this.rows.i32[row * SUBSCRIPTION_WORDS + OPS] = ops;
    return row;
  }

  /** Frees a subscription that is on no list and owns no reference. */
  free(row: number): void {
    this.check(row);
    if (this.isHashed(row) || this.state(row) === REGISTERED) {
      throw new BusError(
        "BUS_FREE_IN_USE",
        `subscription ${row} is freed while it is registered. Unregister it and wait for the grace period first`,
        { row },
      );
    }
    this.rows.free(row);
  }

  /** Asserts that the row is allocated. */
  check(row: number): void {
    if (!this.rows.isLive(row))
      throw new BusError("BUS_NOT_ALLOCATED", `subscription ${row} is not allocated: it was freed, or never made`, {
        row,
      });
  }

  ops(row: number): number {
    return this.rows.i32[row * SUBSCRIPTION_WORDS + OPS]!;
  }

  mm(row: number): number {
    return this.rows.i32[row * SUBSCRIPTION_WORDS + MM]!;
  }

  setMm(row: number, mm: number): void {
    this.rows.i32[row * SUBSCRIPTION_WORDS + MM] = mm;
  }

  /** Unsigned, as in the kernel. */
  users(row: number): number {
    return this.rows.i32[row * SUBSCRIPTION_WORDS + USERS]! >>> 0;
  }

  setUsers(row: number, users: number): void {
    this.rows.i32[row * SUBSCRIPTION_WORDS + USERS] = users | 0;
  }

  state(row: number): number {
    return this.rows.i32[row * SUBSCRIPTION_WORDS + STATE]!;
  }

  setState(row: number, state: number): void {
    this.rows.i32[row * SUBSCRIPTION_WORDS + STATE] = state;
  }

  nextToFree(row: number): number {
    return this.rows.i32[row * SUBSCRIPTION_WORDS + NEXT_TO_FREE]!;
  }

  setNextToFree(row: number, next: number): void {
    this.rows.i32[row * SUBSCRIPTION_WORDS + NEXT_TO_FREE] = next;
  }

  /** !hlist_unhashed(). */
  isHashed(row: number): boolean {
    return this.rows.i32[row * SUBSCRIPTION_WORDS + HASHED] !== 0;
  }

  next(row: number): number {
    return this.rows.i32[row * SUBSCRIPTION_WORDS + NEXT]!;
  }

  /** hlist_add_head_rcu(). */
  addHead(head: number, row: number): void {
    const { i32 } = this.rows;
    i32[row * SUBSCRIPTION_WORDS + NEXT] = this.first(head);
    i32[row * SUBSCRIPTION_WORDS + HASHED] = 1;
    this.heads.i32[head * SUBSCRIPTIONS_WORDS + FIRST] = row;
    this.#sumInterest(head);
  }

  /** hlist_del_init_rcu(): the row keeps its `next`, because a reader may stand on it. Does nothing when unhashed. */
  unhash(head: number, row: number): void {
    if (!this.isHashed(row)) return;
    const { i32 } = this.rows;
    const next = this.next(row);
    let at = this.first(head);
    if (at === row) this.heads.i32[head * SUBSCRIPTIONS_WORDS + FIRST] = next;
    else {
      while (this.next(at) !== row) at = this.next(at);
      i32[at * SUBSCRIPTION_WORDS + NEXT] = next;
    }
    i32[row * SUBSCRIPTION_WORDS + HASHED] = 0;
    this.#sumInterest(head);
  }

  /** What anybody on the list wants. */
  interest(head: number): Interest {
    return this.heads.i32[head * SUBSCRIPTIONS_WORDS + INTEREST]!;
  }

  #sumInterest(head: number): void {
    let interest = 0;
    for (let at = this.first(head); at !== 0; at = this.next(at)) interest |= this.#chains.ops[this.ops(at)]!.interest;
    this.heads.i32[head * SUBSCRIPTIONS_WORDS + INTEREST] = interest;
  }

  /** The subscriptions that a reader meets from `row` on. */
  chainFrom(row: number): Chain {
    const { i32 } = this.rows;
    let chain = this.#chains.empty;
    for (let at = row; at !== 0; at = i32[at * SUBSCRIPTION_WORDS + NEXT]!) {
      chain = chain.followedBy((i32[at * SUBSCRIPTION_WORDS + OPS]! << 16) | at);
    }
    return chain;
  }
}
