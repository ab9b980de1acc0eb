import {
  FMODE_READ,
  FMODE_WRITE,
  INODE_DAX,
  INODE_DISK,
  INODE_HUGETLB,
  INODE_SHMEM,
  type Kernel,
  PG_ALLOCATED,
  PG_DEVICE,
  PG_UPTODATE,
  sysFsync,
  sysPwrite,
  type Thread,
} from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";
import type { FileKind } from "../ops/op.js";
import type { ScriptState } from "./script-state.js";

const PAGE = 4096;
/** Pages of `mem` and `file` unless the arena is large. */
const SMALL = 64;
/** From this arena on `mem` is as large as the arena. */
const LARGE_ARENA = 512;
const HUGE_PAGES = 8;

const INODES: Readonly<Record<FileKind, number>> = {
  memfd: INODE_SHMEM,
  disk: INODE_DISK,
  hugetlb: INODE_HUGETLB,
  dax: INODE_DAX,
};

/** The first byte of page `index` of a file that was filled: 100 to 199. */
function filled(index: number): number {
  return 100 + (index % 100);
}

/**
 * Makes the files that exist without being made, if the script speaks of them: `mem` with its first half written, `file` with its
 * first half written and synced, `hmem` of eight huge pages; `memro` and `filero` read the same.
 */
export function* createBuiltInFiles(k: Kernel, t: Thread, state: ScriptState, arena: number): Path {
  const has = (name: string): boolean => state.names.includes(name);
  if (has("mem")) {
    const pages = arena > LARGE_ARENA ? arena : SMALL;
    yield* createFile(k, t, state, {
      name: "mem",
      kind: "memfd",
      pages,
      written: pages > LARGE_ARENA ? SMALL : pages / 2,
    });
  }
  if (has("memro")) yield openReadOnly(k, state, "memro", "mem");
  if (has("file")) {
    yield* createFile(k, t, state, { name: "file", kind: "disk", pages: SMALL, written: SMALL / 2 });
    yield* sysFsync(k, t, state.file("file"));
  }
  if (has("filero")) yield openReadOnly(k, state, "filero", "file");
  if (has("hmem"))
    yield* createFile(k, t, state, {
      name: "hmem",
      kind: "hugetlb",
      pages: HUGE_PAGES * k.tables.hugePages,
      written: 0,
    });
}

/** No DAX device, or one whose file system gives large files runs that are aligned like huge pages, or runs that are not. */
export type DaxDevice = "none" | "aligned" | "unaligned";

/** What a file is when it is made. */
export interface NewFile {
  readonly name: string;
  readonly kind: FileKind;
  /** Size in base pages. */
  readonly pages: number;
  /** Pages from the first that hold a byte. */
  readonly written: number;
  readonly dax?: DaxDevice;
}

/** Makes a file and opens it for reading and writing. */
export function* createFile(
  k: Kernel,
  t: Thread,
  state: ScriptState,
  { name, kind, pages, written, dax = "aligned" }: NewFile,
): Path {
  const file = yield step("open", () => {
    const inode = k.files.createInode(INODES[kind], pages);
    if (kind === "dax") allocateBlocks(k, inode, pages, dax === "aligned");
    const row = k.files.open(inode, FMODE_READ | FMODE_WRITE);
    state.setFile(name, row);
    return row;
  });
  for (let index = 0; index < written; index++) yield* sysPwrite(k, t, file, index * PAGE, filled(index));
  // What a disk file begins with is on the disk.
  yield* sysFsync(k, t, file);
}

/** A DAX file is its blocks: frames of device memory, in huge runs where the file is large enough. */
function allocateBlocks(k: Kernel, inode: number, pages: number, aligned: boolean): void {
  const huge = k.tables.hugePages;
  for (let index = 0; index < pages;) {
    const run = aligned && pages - index >= huge ? huge : 1;
    const first = allocateRun(k, run, aligned ? -1 : index % huge);
    for (let i = 0; i < run; i++, index++) {
      k.pages.get(first + i);
      k.files.setStored(inode, index, first + i);
    }
  }
}

/** The lowest free run of `pages` frames, aligned to its size, whose place in a huge page is not `never`. */
function allocateRun(k: Kernel, pages: number, never: number): number {
  const first = k.pages.segment.allocRun(pages, pages, PG_ALLOCATED | PG_DEVICE | PG_UPTODATE);
  if (first % k.tables.hugePages !== never) return first;
  const other = k.pages.segment.allocRun(pages, pages, PG_ALLOCATED | PG_DEVICE | PG_UPTODATE);
  k.pages.segment.free(first);
  return other;
}

function openReadOnly(k: Kernel, state: ScriptState, name: string, of: string) {
  return step("open", () => {
    state.setFile(name, k.files.open(k.files.inode(state.file(of)), FMODE_READ));
    return 0;
  });
}

/** What VMAs of a file are called in records: the name of the first descriptor of its inode, or what the kernel made it for. */
export function backingName(k: Kernel, state: ScriptState, file: number): string {
  const inode = k.files.inode(file);
  for (const name of state.names) {
    const own = state.file(name);
    if (own !== 0 && k.files.inode(own) === inode) return name === "memro" ? "mem" : name === "filero" ? "file" : name;
  }
  return k.files.kind(inode) === INODE_HUGETLB ? "huge" : "zero";
}
