import {
  type Kernel,
  VM_EXEC,
  VM_HUGETLB,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_READ,
  VM_SHARED,
  VM_SOFTDIRTY,
  VM_WRITE,
} from "@mmu-notifier/core";
import { ARENA_PAGE } from "../script.js";
import { smapsFlags } from "./smaps-flags.js";

/** `[start, end, "rwxp", file offset, backing, "VmFlags"]`, in pages from the arena's base. */
export type VmaRecord = readonly [
  start: number,
  end: number,
  rights: string,
  offset: number,
  backing: string,
  flags: string,
];

/** Flags that records do not keep: rights are a field of their own, and soft-dirty is none of the script's doing. */
const LEFT_OUT = VM_READ | VM_WRITE | VM_EXEC | VM_SHARED | VM_MAYREAD | VM_MAYEXEC | VM_MAYSHARE | VM_SOFTDIRTY;

/** The flags that records keep, as smaps writes them. */
export const VMA_FLAG_LETTERS: ReadonlySet<string> = new Set(smapsFlags(~LEFT_OUT));

const flagTexts = new Map<number, string>();

function flagText(flags: number): string {
  let text = flagTexts.get(flags);
  if (text === undefined) {
    text = smapsFlags(flags & ~LEFT_OUT).join(" ");
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
