import { IntervalTrees } from "./rmap/interval-tree.js";
import { type Lock, lockAt, lockClass, type Memory, type Segment, Vectors } from "@mmu-notifier/steps";

const KIND = 1;
const SIZE = 2;
const CACHE = 3;
const DISK = 4;
const I_MMAP_LOCK = 5;
const SEALS = 6;
const LINKS = 7;
const I_MMAP = 8;
const INODE_STRIDE = 10;

const INODE = 1;
const MODE = 2;
const FILE_COUNT = 3;
const FILE_STRIDE = 10;

/** Words of an open file's struct file_ra_state, about its latest readahead: first page, pages, pages behind the mark, order of its folios. */
export const RA_START = 4;
export const RA_SIZE = 5;
export const RA_ASYNC_SIZE = 6;
export const RA_ORDER = 7;
/** Page that read(2) read last; {@link PREV_NONE} before the first. */
export const RA_PREV_INDEX = 8;
export const PREV_NONE = -1;

/** What an inode is: this decides its fault handlers and its write notification. */
export const INODE_SHMEM = 1;
/** A disk file system with page_mkwrite and dirty accounting (ext4). */
export const INODE_DISK = 2;
export const INODE_HUGETLB = 3;
/** A DAX file: insert_pfn with mkwrite, no page cache. */
export const INODE_DAX = 4;
/** A device that remaps PFNs without struct page. */
export const INODE_PFNMAP = 5;

export const FMODE_READ = 1;
export const FMODE_WRITE = 2;
export const FMODE_EXEC = 4;
export const FMODE_APPEND = 8;

export const I_MMAP_CLASS = lockClass("i_mmap_rwsem", "rwsem");

/**
 * Inodes with their page caches, and the open files that refer to them. A cache slot holds a pfn, a negative swap slot number
 * for a swapped-out shmem page, or 0. Sizes and offsets are in base pages, also for hugetlbfs.
 *
 * @public
 */
export class Files {
  readonly inodes: Segment;
  readonly files: Segment;
  readonly #slots: Vectors;
  readonly #iMmap: IntervalTrees;
  readonly #locks: Lock[] = [];

  constructor(memory: Memory, rows = 4) {
    this.inodes = memory.segment("inodes", INODE_STRIDE, rows);
    this.files = memory.segment("files", FILE_STRIDE, rows);
    this.#slots = new Vectors(memory, "page cache", 8);
    this.#iMmap = new IntervalTrees(memory, "i_mmap");
  }

  createInode(kind: number, sizePages: number): number {
    const inode = this.inodes.alloc();
    const at = inode * INODE_STRIDE;
    this.inodes.i32[at + KIND] = kind;
    this.inodes.i32[at + SIZE] = sizePages;
    this.inodes.i32[at + CACHE] = this.#slots.create();
    this.inodes.i32[at + DISK] = this.#slots.create();
    this.inodes.i32[at + I_MMAP] = this.#iMmap.create();
    return inode;
  }

  /** Frees an inode; its cache must be empty. */
  freeInode(inode: number): void {
    this.#slots.destroy(this.#inode(inode, CACHE));
    this.#slots.destroy(this.#inode(inode, DISK));
    this.#iMmap.destroy(this.#inode(inode, I_MMAP));
    this.inodes.free(inode);
  }

  /** Opens an inode: a file row with one reference. */
  open(inode: number, mode: number): number {
    const file = this.files.alloc();
    this.files.i32[file * FILE_STRIDE + INODE] = inode;
    this.files.i32[file * FILE_STRIDE + MODE] = mode;
    this.files.i32[file * FILE_STRIDE + FILE_COUNT] = 1;
    this.files.i32[file * FILE_STRIDE + RA_PREV_INDEX] = PREV_NONE;
    this.inodes.i32[inode * INODE_STRIDE + LINKS]!++;
    return file;
  }

  get(file: number): void {
    this.files.i32[file * FILE_STRIDE + FILE_COUNT]!++;
  }

  /** fput(): the inode number when this was the last reference to the last open file of an inode, else 0. */
  put(file: number): number {
    const at = file * FILE_STRIDE;
    if (--this.files.i32[at + FILE_COUNT]! > 0) return 0;
    const inode = this.files.i32[at + INODE]!;
    this.files.free(file);
    return --this.inodes.i32[inode * INODE_STRIDE + LINKS]! === 0 ? inode : 0;
  }

  inode(file: number): number {
    return this.files.i32[file * FILE_STRIDE + INODE]!;
  }

  mode(file: number): number {
    return this.files.i32[file * FILE_STRIDE + MODE]!;
  }

  /** A word of the file's readahead state; `word` is one of the RA_ constants. */
  ra(file: number, word: number): number {
    return this.files.i32[file * FILE_STRIDE + word]!;
  }

  setRa(file: number, word: number, value: number): void {
    this.files.i32[file * FILE_STRIDE + word] = value;
  }

  /** The window of the file's latest readahead, in pages; its last `asyncSize` pages begin with the mark. */
  setRaWindow(file: number, start: number, size: number, asyncSize: number): void {
    this.setRa(file, RA_START, start);
    this.setRa(file, RA_SIZE, size);
    this.setRa(file, RA_ASYNC_SIZE, asyncSize);
  }

  kind(inode: number): number {
    return this.#inode(inode, KIND);
  }

  /** i_size in pages. */
  size(inode: number): number {
    return this.#inode(inode, SIZE);
  }

  setSize(inode: number, pages: number): void {
    this.inodes.i32[inode * INODE_STRIDE + SIZE] = pages;
  }

  seals(inode: number): number {
    return this.#inode(inode, SEALS);
  }

  setSeals(inode: number, seals: number): void {
    this.inodes.i32[inode * INODE_STRIDE + SEALS] = seals;
  }

  iMmapLock(inode: number): Lock {
    return (this.#locks[inode] ??= lockAt(
      I_MMAP_CLASS,
      this.inodes,
      inode * INODE_STRIDE + I_MMAP_LOCK,
      `i_mmap_rwsem of inode ${inode}`,
    ));
  }

  /** i_mmap: the VMAs that map the inode. */
  iMmap(inode: number): number {
    return this.#inode(inode, I_MMAP);
  }

  get mappings(): IntervalTrees {
    return this.#iMmap;
  }

  /** The cache slot of page `index`: a pfn, a negative swap slot, or 0. */
  cached(inode: number, index: number): number {
    return this.#slots.at(this.#inode(inode, CACHE), index);
  }

  setCached(inode: number, index: number, entry: number): void {
    this.#slots.set(this.#inode(inode, CACHE), index, entry);
  }

  /** Slots that a scan of the cache has to look at. */
  cacheLength(inode: number): number {
    return this.#slots.length(this.#inode(inode, CACHE));
  }

  /** What the backing store holds for page `index`; for DAX and PFN maps the pfn itself. */
  stored(inode: number, index: number): number {
    return this.#slots.at(this.#inode(inode, DISK), index);
  }

  /** Slots of the backing store that may hold something. */
  storedLength(inode: number): number {
    return this.#slots.length(this.#inode(inode, DISK));
  }

  setStored(inode: number, index: number, value: number): void {
    this.#slots.set(this.#inode(inode, DISK), index, value);
  }

  #inode(inode: number, word: number): number {
    return this.inodes.i32[inode * INODE_STRIDE + word]!;
  }
}
