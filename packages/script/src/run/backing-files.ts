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
import { builtInFiles, filled, type NewFile } from "../built-in-files.js";
import type { ScriptState } from "./script-state.js";

const PAGE = 4096;

const INODES: Readonly<Record<FileKind, number>> = {
  memfd: INODE_SHMEM,
  disk: INODE_DISK,
  hugetlb: INODE_HUGETLB,
  dax: INODE_DAX,
};

/** Makes the files that exist without being made, if the script speaks of them. */
export function* createBuiltInFiles(k: Kernel, t: Thread, state: ScriptState, arena: number): Path {
  for (const file of builtInFiles(state.names, arena, k.tables.hugePages)) {
    if ("readOnly" in file) yield openReadOnly(k, state, file.name, file.readOnly);
    else {
      yield* createFile(k, t, state, file);
      if (file.kind === "disk") yield* sysFsync(k, t, state.file(file.name));
    }
  }
}

/** No DAX device, or one whose file system gives large files runs that are aligned like huge pages, or runs that are not. */
export type DaxDevice = "none" | "aligned" | "unaligned";

/** Makes a file and opens it for reading and writing. */
export function* createFile(
  k: Kernel,
  t: Thread,
  state: ScriptState,
  { name, kind, pages, written, dax = "aligned" }: NewFile & { readonly dax?: DaxDevice },
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
