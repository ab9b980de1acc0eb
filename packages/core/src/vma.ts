import { type Lock, lockAt, lockClass, type Memory, type Segment, Vectors } from "@mmu-notifier/steps";

const ALLOCATED = 1;
const MM = 1;
const FLAGS = 2;
const FILE = 3;
const START = 2; // doubles 2, 3, 4: words 4 to 9
const END = 3;
const PGOFF = 4;
const ANON_VMA = 10;
const POLICY = 11;
const UFFD = 12;
const LOCK = 13;
const NAME = 14;
const PRIVATE = 15;
const STRIDE = 16;

/** vm_flags, by the kernel's names; the values are the model's own. */
export const VM_READ = 1 << 0;
export const VM_WRITE = 1 << 1;
export const VM_EXEC = 1 << 2;
export const VM_SHARED = 1 << 3;
export const VM_MAYREAD = 1 << 4;
export const VM_MAYWRITE = 1 << 5;
export const VM_MAYEXEC = 1 << 6;
export const VM_MAYSHARE = 1 << 7;
export const VM_GROWSDOWN = 1 << 8;
export const VM_UFFD_MISSING = 1 << 9;
export const VM_PFNMAP = 1 << 10;
export const VM_UFFD_WP = 1 << 11;
export const VM_LOCKED = 1 << 12;
export const VM_IO = 1 << 13;
export const VM_SEQ_READ = 1 << 14;
export const VM_RAND_READ = 1 << 15;
export const VM_DONTCOPY = 1 << 16;
export const VM_DONTEXPAND = 1 << 17;
export const VM_LOCKONFAULT = 1 << 18;
export const VM_ACCOUNT = 1 << 19;
export const VM_NORESERVE = 1 << 20;
export const VM_HUGETLB = 1 << 21;
export const VM_WIPEONFORK = 1 << 22;
export const VM_DONTDUMP = 1 << 23;
export const VM_SOFTDIRTY = 1 << 24;
export const VM_MIXEDMAP = 1 << 25;
export const VM_HUGEPAGE = 1 << 26;
export const VM_NOHUGEPAGE = 1 << 27;
export const VM_MERGEABLE = 1 << 28;
export const VM_SEALED = 1 << 29;
export const VM_UFFD_MINOR = 1 << 30;
/** The sign bit: MADV_GUARD_INSTALL was used in this VMA. */
export const VM_MAYBE_GUARD = 1 << 31;

export const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC;
/** VMAs that never merge and never hold ordinary pages. */
export const VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP;

/** Bit of a row's mark word: vm_lock_seq equals the mm's, so no fault may use the VMA under its own lock until mmap_lock is dropped. */
const WRITE_LOCKED = 2;

/** The per-VMA lock of faults. */
export const VMA_LOCK_CLASS = lockClass("vma_lock", "rwsem");

/**
 * VMAs of all mms. Addresses are page numbers, ranges half open. Each mm has a sorted list; looking one up is a binary search.
 *
 * @public
 */
export class Vmas {
  readonly segment: Segment;
  readonly #order: Vectors;
  readonly #locks: Lock[] = [];

  constructor(memory: Memory, rows = 8) {
    this.segment = memory.segment("vmas", STRIDE, rows);
    this.#order = new Vectors(memory, "vma order", rows);
  }

  /** An empty list for a new mm. */
  createList(): number {
    return this.#order.create();
  }

  destroyList(list: number): void {
    this.#order.destroy(list);
  }

  /** vm_area_alloc(): a row of mm `mm` that is in no list yet. */
  alloc(mm: number, start: number, end: number, flags: number): number {
    const vma = this.segment.alloc();
    const at = vma * STRIDE;
    this.segment.i32[at + MM] = mm;
    this.segment.i32[at + FLAGS] = flags;
    this.segment.f64[at / 2 + START] = start;
    this.segment.f64[at / 2 + END] = end;
    return vma;
  }

  /** vm_area_dup(): a copy that is in no list yet. */
  dup(vma: number, mm = this.mm(vma)): number {
    const copy = this.segment.alloc();
    this.segment.i32.copyWithin(copy * STRIDE, vma * STRIDE, (vma + 1) * STRIDE);
    this.segment.i32[copy * STRIDE] = ALLOCATED;
    this.segment.i32[copy * STRIDE + MM] = mm;
    this.segment.i32[copy * STRIDE + LOCK] = 0;
    return copy;
  }

  free(vma: number): void {
    this.segment.free(vma);
  }

  /** map_count of a list. */
  count(list: number): number {
    return this.#order.length(list);
  }

  /** The `index`th VMA of a list in address order, or 0. */
  at(list: number, index: number): number {
    return this.#order.at(list, index);
  }

  /** Position of the first VMA whose end is above `vpn`. */
  indexAbove(list: number, vpn: number): number {
    let low = 0;
    let high = this.#order.length(list);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.end(this.#order.at(list, middle)) <= vpn) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** find_vma(): the first VMA that ends above page `vpn`, or 0. It may start above it. */
  find(list: number, vpn: number): number {
    return this.#order.at(list, this.indexAbove(list, vpn));
  }

  /** vma_lookup(): the VMA that contains page `vpn`, or 0. */
  lookup(list: number, vpn: number): number {
    const vma = this.find(list, vpn);
    return vma !== 0 && this.start(vma) <= vpn ? vma : 0;
  }

  /** find_vma_intersection(): the first VMA that overlaps pages [start, end), or 0. */
  findIntersection(list: number, start: number, end: number): number {
    const vma = this.find(list, start);
    return vma !== 0 && this.start(vma) < end ? vma : 0;
  }

  /** The VMA after / before `vma` in its list, or 0. */
  next(list: number, vma: number): number {
    return this.#order.at(list, this.indexAbove(list, this.start(vma)) + 1);
  }

  prev(list: number, vma: number): number {
    const index = this.indexAbove(list, this.start(vma));
    return index === 0 ? 0 : this.#order.at(list, index - 1);
  }

  /** Puts a VMA into its place in the list. It must not overlap another. */
  insert(list: number, vma: number): void {
    this.#order.insert(list, this.indexAbove(list, this.start(vma)), vma);
  }

  /** Takes a VMA out of the list; the row stays. */
  remove(list: number, vma: number): void {
    this.#order.remove(list, vma);
  }

  lock(vma: number): Lock {
    return (this.#locks[vma] ??= lockAt(VMA_LOCK_CLASS, this.segment, vma * STRIDE + LOCK, `vma_lock ${vma}`));
  }

  /** What vma_start_write() leaves: the VMA counts as locked for writing until {@link endWriteAll}. */
  startWrite(vma: number): void {
    this.segment.i32[vma * STRIDE]! |= WRITE_LOCKED;
  }

  /** True between vma_start_write() and the release of mmap_lock: faults must not use the VMA under its own lock. */
  isWriteLocked(vma: number): boolean {
    return (this.segment.i32[vma * STRIDE]! & WRITE_LOCKED) !== 0;
  }

  /** vma_end_write_all(), for the VMAs of a list. */
  endWriteAll(list: number): void {
    for (let i = this.#order.length(list) - 1; i >= 0; i--)
      this.segment.i32[this.#order.at(list, i) * STRIDE]! &= ~WRITE_LOCKED;
  }

  mm(vma: number): number {
    return this.segment.i32[vma * STRIDE + MM]!;
  }

  /** vm_start, in pages. */
  start(vma: number): number {
    return this.segment.f64[(vma * STRIDE) / 2 + START]!;
  }

  /** vm_end, in pages, exclusive. */
  end(vma: number): number {
    return this.segment.f64[(vma * STRIDE) / 2 + END]!;
  }

  /** vm_pgoff: page of the file (or of the anonymous space) that vm_start maps. */
  pgoff(vma: number): number {
    return this.segment.f64[(vma * STRIDE) / 2 + PGOFF]!;
  }

  setRange(vma: number, start: number, end: number, pgoff: number): void {
    const at = (vma * STRIDE) / 2;
    this.segment.f64[at + START] = start;
    this.segment.f64[at + END] = end;
    this.segment.f64[at + PGOFF] = pgoff;
  }

  /** linear_page_index(): file page that `vpn` maps. */
  linearIndex(vma: number, vpn: number): number {
    return this.pgoff(vma) + (vpn - this.start(vma));
  }

  flags(vma: number): number {
    return this.segment.i32[vma * STRIDE + FLAGS]!;
  }

  setFlags(vma: number, flags: number): void {
    this.segment.i32[vma * STRIDE + FLAGS] = flags;
  }

  has(vma: number, flags: number): boolean {
    return (this.segment.i32[vma * STRIDE + FLAGS]! & flags) !== 0;
  }

  /** vm_file: row of an open file, or 0 for anonymous memory. */
  file(vma: number): number {
    return this.segment.i32[vma * STRIDE + FILE]!;
  }

  setFile(vma: number, file: number): void {
    this.segment.i32[vma * STRIDE + FILE] = file;
  }

  anonVma(vma: number): number {
    return this.segment.i32[vma * STRIDE + ANON_VMA]!;
  }

  setAnonVma(vma: number, anonVma: number): void {
    this.segment.i32[vma * STRIDE + ANON_VMA] = anonVma;
  }

  /** Memory policy: 0 is the default. */
  policy(vma: number): number {
    return this.segment.i32[vma * STRIDE + POLICY]!;
  }

  setPolicy(vma: number, policy: number): void {
    this.segment.i32[vma * STRIDE + POLICY] = policy;
  }

  /** vm_userfaultfd_ctx: row of the userfaultfd, or 0. */
  uffd(vma: number): number {
    return this.segment.i32[vma * STRIDE + UFFD]!;
  }

  setUffd(vma: number, uffd: number): void {
    this.segment.i32[vma * STRIDE + UFFD] = uffd;
  }

  /** anon_vma_name: 0 for none. */
  anonName(vma: number): number {
    return this.segment.i32[vma * STRIDE + NAME]!;
  }

  setAnonName(vma: number, name: number): void {
    this.segment.i32[vma * STRIDE + NAME] = name;
  }

  /** vm_private_data: the reservation map of a private hugetlb mapping. */
  private(vma: number): number {
    return this.segment.i32[vma * STRIDE + PRIVATE]!;
  }

  setPrivate(vma: number, value: number): void {
    this.segment.i32[vma * STRIDE + PRIVATE] = value;
  }
}

/** is_cow_mapping(): private and may become writable. */
export const isCowMapping = (flags: number): boolean => (flags & (VM_SHARED | VM_MAYWRITE)) === VM_MAYWRITE;
