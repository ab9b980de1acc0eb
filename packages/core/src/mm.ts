import { type Lock, lockAt, lockClass, type Memory, type Segment } from "@mmu-notifier/steps";

const USERS = 1;
const COUNT = 2;
const PGD = 3;
const VMA_LIST = 4;
const MMAP_LOCK = 5;
const TLB_FLUSH_PENDING = 6;
const ASID = 7;
const FLAGS = 8;
const DEF_FLAGS = 9;
const LOCKED_VM = 10;
const CPUMASK = 11;
const START_BRK = 6; // doubles 6, 7, 8: words 12 to 17
const BRK = 7;
const MMAP_BASE = 8;
const SIGNAL_PENDING = 18;
const TLB_FLUSH_BATCHED = 19;
const STRIDE = 20;

/** mm->flags. */
export const MMF_UNSTABLE = 1 << 0;
export const MMF_OOM_SKIP = 1 << 1;
export const MMF_HAS_PINNED = 1 << 2;
export const MMF_DISABLE_THP = 1 << 3;
export const MMF_VM_MERGEABLE = 1 << 4;
/** exit_mmap has begun: no more user accesses. */
export const MMF_EXITING = 1 << 5;

export const MMAP_LOCK_CLASS = lockClass("mmap_lock", "rwsem");

/** Address spaces. All numbers of pages unless a name says bytes. */
export class Mms {
  readonly segment: Segment;
  readonly #locks: Lock[] = [];

  constructor(memory: Memory, rows = 4) {
    this.segment = memory.segment("mms", STRIDE, rows);
  }

  /** mm_alloc(): one user, one reference. `pgd` is a table row, `list` a VMA list. */
  alloc(pgd: number, list: number): number {
    const mm = this.segment.alloc();
    const at = mm * STRIDE;
    this.segment.i32[at + USERS] = 1;
    this.segment.i32[at + COUNT] = 1;
    this.segment.i32[at + PGD] = pgd;
    this.segment.i32[at + VMA_LIST] = list;
    this.segment.i32[at + ASID] = mm;
    return mm;
  }

  free(mm: number): void {
    this.segment.free(mm);
  }

  isLive(mm: number): boolean {
    return this.segment.isLive(mm);
  }

  mmapLock(mm: number): Lock {
    return (this.#locks[mm] ??= lockAt(MMAP_LOCK_CLASS, this.segment, mm * STRIDE + MMAP_LOCK, `mmap_lock of mm${mm}`));
  }

  users(mm: number): number {
    return this.segment.i32[mm * STRIDE + USERS]!;
  }

  addUsers(mm: number, by: number): number {
    return (this.segment.i32[mm * STRIDE + USERS]! += by);
  }

  count(mm: number): number {
    return this.segment.i32[mm * STRIDE + COUNT]!;
  }

  addCount(mm: number, by: number): number {
    return (this.segment.i32[mm * STRIDE + COUNT]! += by);
  }

  pgd(mm: number): number {
    return this.segment.i32[mm * STRIDE + PGD]!;
  }

  vmaList(mm: number): number {
    return this.segment.i32[mm * STRIDE + VMA_LIST]!;
  }

  /** mm->tlb_flush_pending: gathers that have cleared entries and not yet flushed. */
  tlbFlushPending(mm: number): number {
    return this.segment.i32[mm * STRIDE + TLB_FLUSH_PENDING]!;
  }

  addTlbFlushPending(mm: number, by: number): void {
    this.segment.i32[mm * STRIDE + TLB_FLUSH_PENDING]! += by;
  }

  /** mm->tlb_flush_batched: reclaim cleared entries whose flush it put off. */
  tlbFlushBatched(mm: number): boolean {
    return this.segment.i32[mm * STRIDE + TLB_FLUSH_BATCHED]! !== 0;
  }

  setTlbFlushBatched(mm: number, batched: boolean): void {
    this.segment.i32[mm * STRIDE + TLB_FLUSH_BATCHED] = batched ? 1 : 0;
  }

  /** The CPU's address-space id of this mm. */
  asid(mm: number): number {
    return this.segment.i32[mm * STRIDE + ASID]!;
  }

  flags(mm: number): number {
    return this.segment.i32[mm * STRIDE + FLAGS]!;
  }

  setFlag(mm: number, flag: number): void {
    this.segment.i32[mm * STRIDE + FLAGS]! |= flag;
  }

  /** mm->def_flags: mlockall(MCL_FUTURE) and its kin. */
  defFlags(mm: number): number {
    return this.segment.i32[mm * STRIDE + DEF_FLAGS]!;
  }

  setDefFlags(mm: number, flags: number): void {
    this.segment.i32[mm * STRIDE + DEF_FLAGS] = flags;
  }

  lockedVm(mm: number): number {
    return this.segment.i32[mm * STRIDE + LOCKED_VM]!;
  }

  addLockedVm(mm: number, pages: number): void {
    this.segment.i32[mm * STRIDE + LOCKED_VM]! += pages;
  }

  /** CPUs that ran this mm since it was last flushed everywhere, as a bit mask. */
  cpumask(mm: number): number {
    return this.segment.i32[mm * STRIDE + CPUMASK]!;
  }

  setCpumask(mm: number, mask: number): void {
    this.segment.i32[mm * STRIDE + CPUMASK] = mask;
  }

  startBrk(mm: number): number {
    return this.segment.f64[(mm * STRIDE) / 2 + START_BRK]!;
  }

  /** The break, in bytes (it need not be a page boundary). */
  brkBytes(mm: number): number {
    return this.segment.f64[(mm * STRIDE) / 2 + BRK]!;
  }

  setBrk(mm: number, startPage: number, brkBytes: number): void {
    this.segment.f64[(mm * STRIDE) / 2 + START_BRK] = startPage;
    this.segment.f64[(mm * STRIDE) / 2 + BRK] = brkBytes;
  }

  /** Top of the area for top-down mmap, in pages. */
  mmapBase(mm: number): number {
    return this.segment.f64[(mm * STRIDE) / 2 + MMAP_BASE]!;
  }

  setMmapBase(mm: number, page: number): void {
    this.segment.f64[(mm * STRIDE) / 2 + MMAP_BASE] = page;
  }

  signalPending(mm: number): boolean {
    return this.segment.i32[mm * STRIDE + SIGNAL_PENDING]! !== 0;
  }

  setSignalPending(mm: number, pending: boolean): void {
    this.segment.i32[mm * STRIDE + SIGNAL_PENDING] = pending ? 1 : 0;
  }
}
