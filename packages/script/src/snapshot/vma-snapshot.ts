import {
  type Kernel,
  VM_ACCOUNT,
  VM_DONTCOPY,
  VM_DONTDUMP,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_LOCKED,
  VM_LOCKONFAULT,
  VM_MAYBE_GUARD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_MIXEDMAP,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_RAND_READ,
  VM_READ,
  VM_SEALED,
  VM_SEQ_READ,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
  VM_WIPEONFORK,
  VM_WRITE,
} from "@mmu-notifier/core";
import { ARENA_PAGE } from "../script.js";

/** `[start, end, "rwxp", file offset, backing, "VmFlags"]`, in pages from the arena's base. */
export type VmaRecord = readonly [
  start: number,
  end: number,
  rights: string,
  offset: number,
  backing: string,
  flags: string,
];

/** The VmFlags of smaps that records keep, in the order smaps prints them. */
const LETTERS: readonly (readonly [number, string])[] = [
  [VM_MAYWRITE, "mw"],
  [VM_GROWSDOWN, "gd"],
  [VM_UFFD_MISSING, "um"],
  [VM_MAYBE_GUARD, "gu"],
  [VM_UFFD_WP, "uw"],
  [VM_LOCKED, "lo"],
  [VM_SEQ_READ, "sr"],
  [VM_RAND_READ, "rr"],
  [VM_DONTCOPY, "dc"],
  [VM_DONTEXPAND, "de"],
  [VM_LOCKONFAULT, "lf"],
  [VM_ACCOUNT, "ac"],
  [VM_NORESERVE, "nr"],
  [VM_HUGETLB, "ht"],
  [VM_WIPEONFORK, "wf"],
  [VM_DONTDUMP, "dd"],
  [VM_MIXEDMAP, "mm"],
  [VM_HUGEPAGE, "hg"],
  [VM_NOHUGEPAGE, "nh"],
  [VM_MERGEABLE, "mg"],
  [VM_UFFD_MINOR, "ui"],
  [VM_SEALED, "sl"],
];

/** The flags that records keep, as smaps writes them. */
export const VMA_FLAG_LETTERS: ReadonlySet<string> = new Set(LETTERS.map(([, letters]) => letters));

const flagTexts = new Map<number, string>();

function flagText(flags: number): string {
  let text = flagTexts.get(flags);
  if (text === undefined) {
    text = LETTERS.filter(([flag]) => (flags & flag) !== 0)
      .map(([, letters]) => letters)
      .join(" ");
    flagTexts.set(flags, text);
  }
  return text;
}

const rightTexts: readonly string[] = Array.from(
  { length: 16 },
  (_, bits) => `${bits & 1 ? "r" : "-"}${bits & 2 ? "w" : "-"}${bits & 4 ? "x" : "-"}${bits & 8 ? "s" : "p"}`,
);

function rightText(flags: number): string {
  const bits =
    ((flags & VM_READ) !== 0 ? 1 : 0) |
    ((flags & VM_WRITE) !== 0 ? 2 : 0) |
    ((flags & VM_EXEC) !== 0 ? 4 : 0) |
    ((flags & VM_MAYSHARE) !== 0 ? 8 : 0);
  return rightTexts[bits]!;
}

/** Pages behind the arena within which a VMA has to start to be listed: four huge pages. */
const REACH = 512 * 4;

/**
 * The VMAs of an mm that start in the arena or shortly behind it.
 *
 * @param nameOf the backing's name for an open file
 */
export function vmaSnapshot(k: Kernel, mm: number, arena: number, nameOf: (file: number) => string): VmaRecord[] {
  const { vmas } = k;
  const records: VmaRecord[] = [];
  if (!k.mms.isLive(mm)) return records;
  const list = k.mms.vmaList(mm);
  const end = ARENA_PAGE + arena + REACH;
  for (let index = vmas.indexAbove(list, ARENA_PAGE); ; index++) {
    const vma = vmas.at(list, index);
    if (vma === 0 || vmas.start(vma) >= end) return records;
    if (vmas.start(vma) < ARENA_PAGE) continue;
    const file = vmas.file(vma);
    const flags = vmas.flags(vma);
    const backing = file === 0 ? "anon" : nameOf(file);
    const offset = file === 0 && (flags & VM_HUGETLB) === 0 ? 0 : vmas.pgoff(vma);
    records.push([
      vmas.start(vma) - ARENA_PAGE,
      vmas.end(vma) - ARENA_PAGE,
      rightText(flags),
      offset,
      backing,
      flagText(flags),
    ]);
  }
}
