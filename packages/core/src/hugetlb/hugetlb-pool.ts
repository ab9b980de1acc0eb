import { type Lock, lockAt, lockClass, type Memory, type Segment, Vectors } from "@mmu-notifier/steps";

const FREE = 1;
const RESERVED = 2;
const MUTEX = 3;
const POOL_ROW = 1;
const POOL_STRIDE = 4;

const REFERENCES = 1;
const PAGES = 2;
const MAP_STRIDE = 4;

const HUGETLB_FAULT_MUTEX_CLASS = lockClass("hugetlb_fault_mutex", "mutex");

/**
 * The pool of huge pages (struct hstate) and the reservation maps: which huge pages of an inode are promised, or which ones
 * of a private mapping have used their promise up. All counts and indices are in huge pages.
 *
 * @public
 */
export class HugetlbPool {
  readonly #pool: Segment;
  readonly #maps: Segment;
  readonly #sets: Vectors;
  readonly #inodes: Vectors;
  readonly #inodeList: number;
  /** hugetlb_fault_mutex_table; one mutex stands for the hashed table. */
  readonly faultMutex: Lock;

  constructor(memory: Memory, pages: number) {
    this.#pool = memory.segment("hugetlb pool", POOL_STRIDE, 1);
    this.#maps = memory.segment("hugetlb reservations", MAP_STRIDE, 2);
    this.#sets = new Vectors(memory, "hugetlb reserved pages", 2);
    this.#inodes = new Vectors(memory, "hugetlb inode reservations", 2);
    this.#inodeList = this.#inodes.create();
    this.#pool.alloc();
    this.#pool.i32[POOL_ROW * POOL_STRIDE + FREE] = pages;
    this.faultMutex = lockAt(
      HUGETLB_FAULT_MUTEX_CLASS,
      this.#pool,
      POOL_ROW * POOL_STRIDE + MUTEX,
      "hugetlb_fault_mutex",
    );
  }

  /** free_huge_pages. */
  get free(): number {
    return this.#pool.i32[POOL_ROW * POOL_STRIDE + FREE]!;
  }

  /** resv_huge_pages: promised and not yet allocated. */
  get reserved(): number {
    return this.#pool.i32[POOL_ROW * POOL_STRIDE + RESERVED]!;
  }

  /** hugetlb_acct_memory(): promises `pages` more, or takes promises back when negative; false when there are not enough. */
  account(pages: number): boolean {
    if (pages > 0 && this.free - this.reserved < pages) return false;
    this.#pool.i32[POOL_ROW * POOL_STRIDE + RESERVED]! += pages;
    return true;
  }

  /** dequeue_hugetlb_folio(): takes a page out of the pool, a promised one or an unpromised one; false when there is none. */
  take(promised: boolean): boolean {
    if (promised ? this.free === 0 : this.free - this.reserved <= 0) return false;
    this.#pool.i32[POOL_ROW * POOL_STRIDE + FREE]!--;
    if (promised) this.#pool.i32[POOL_ROW * POOL_STRIDE + RESERVED]!--;
    return true;
  }

  /** free_huge_folio(): a page goes back; `restore` puts its promise back too. */
  giveBack(restore = false): void {
    this.#pool.i32[POOL_ROW * POOL_STRIDE + FREE]!++;
    if (restore) this.#pool.i32[POOL_ROW * POOL_STRIDE + RESERVED]!++;
  }

  /** resv_map_alloc(): an empty map with one reference. */
  createMap(): number {
    const map = this.#maps.alloc();
    this.#maps.i32[map * MAP_STRIDE + REFERENCES] = 1;
    this.#maps.i32[map * MAP_STRIDE + PAGES] = this.#sets.create();
    return map;
  }

  getMap(map: number): void {
    this.#maps.i32[map * MAP_STRIDE + REFERENCES]!++;
  }

  putMap(map: number): void {
    if (--this.#maps.i32[map * MAP_STRIDE + REFERENCES]! > 0) return;
    this.#sets.destroy(this.#maps.i32[map * MAP_STRIDE + PAGES]!);
    this.#maps.free(map);
  }

  /** inode_resv_map(): the map of a hugetlbfs inode, made on first use. */
  mapOfInode(inode: number): number {
    const found = this.#inodes.at(this.#inodeList, inode);
    if (found !== 0) return found;
    const map = this.createMap();
    this.#inodes.set(this.#inodeList, inode, map);
    return map;
  }

  /** The inode goes: so does its map. */
  forgetInode(inode: number): void {
    const map = this.#inodes.at(this.#inodeList, inode);
    if (map === 0) return;
    this.putMap(map);
    this.#inodes.set(this.#inodeList, inode, 0);
  }

  /** True when huge page `index` is in the map. */
  has(map: number, index: number): boolean {
    const set = this.#set(map);
    const length = this.#sets.length(set);
    for (let i = 0; i < length; i++) if (this.#sets.at(set, i) === index + 1) return true;
    return false;
  }

  /** Pages of [from, to) that are in the map: region_count(). */
  count(map: number, from: number, to: number): number {
    const set = this.#set(map);
    const length = this.#sets.length(set);
    let count = 0;
    for (let i = 0; i < length; i++) {
      const index = this.#sets.at(set, i) - 1;
      if (index >= from && index < to) count++;
    }
    return count;
  }

  /** region_add(); the set is kept sorted so that equal maps have equal words. */
  add(map: number, index: number): void {
    const set = this.#set(map);
    const length = this.#sets.length(set);
    let at = 0;
    while (at < length && this.#sets.at(set, at) < index + 1) at++;
    if (at < length && this.#sets.at(set, at) === index + 1) return;
    this.#sets.insert(set, at, index + 1);
  }

  /** region_del(): removes [from, to) and returns how many were there. */
  remove(map: number, from: number, to: number): number {
    const set = this.#set(map);
    let removed = 0;
    for (let i = this.#sets.length(set) - 1; i >= 0; i--) {
      const index = this.#sets.at(set, i) - 1;
      if (index < from || index >= to) continue;
      this.#sets.removeAt(set, i);
      removed++;
    }
    return removed;
  }

  #set(map: number): number {
    return this.#maps.i32[map * MAP_STRIDE + PAGES]!;
  }
}
