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
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_MERGEABLE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_RAND_READ,
  VM_READ,
  VM_SEALED,
  VM_SEQ_READ,
  VM_SHARED,
  VM_SOFTDIRTY,
  VM_UFFD_MINOR,
  VM_UFFD_MISSING,
  VM_UFFD_WP,
  VM_WIPEONFORK,
  VM_WRITE,
} from "@mmu-notifier/core";
import { ARENA_PAGE, ARENA_REACH } from "@mmu-notifier/script";
import type { QemuVma } from "./qemu-record.js";

/** The VmFlags of smaps, by their two letters. */
const LETTERS: readonly (readonly [flag: number, letters: string])[] = [
  [VM_READ, "rd"],
  [VM_WRITE, "wr"],
  [VM_EXEC, "ex"],
  [VM_SHARED, "sh"],
  [VM_MAYREAD, "mr"],
  [VM_MAYWRITE, "mw"],
  [VM_MAYEXEC, "me"],
  [VM_MAYSHARE, "ms"],
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
  [VM_SOFTDIRTY, "sd"],
  [VM_HUGEPAGE, "hg"],
  [VM_NOHUGEPAGE, "nh"],
  [VM_MERGEABLE, "mg"],
  [VM_UFFD_MINOR, "ui"],
  [VM_SEALED, "sl"],
];

const texts = new Map<number, readonly string[]>();

/** The letters of a VMA's flags: there are few combinations, and each is put into words once. */
function lettersOf(flags: number): readonly string[] {
  let letters = texts.get(flags);
  if (letters === undefined) {
    letters = LETTERS.filter(([flag]) => (flags & flag) !== 0).map(([, text]) => text);
    texts.set(flags, letters);
  }
  return letters;
}

/** Everything that smaps prints of a VMA and that records keep. */
export function modelVmas(k: Kernel, mm: number): readonly QemuVma[] {
  const { vmas, mms } = k;
  const records: QemuVma[] = [];
  if (!mms.isLive(mm)) return records;
  const list = mms.vmaList(mm);
  for (let index = vmas.indexAbove(list, ARENA_PAGE); ; index++) {
    const vma = vmas.at(list, index);
    if (vma === 0 || vmas.start(vma) >= ARENA_PAGE + ARENA_REACH) return records;
    const flags = vmas.flags(vma);
    const letter = (flag: number, text: string): string => ((flags & flag) === 0 ? "-" : text);
    records.push({
      start: vmas.start(vma) - ARENA_PAGE,
      end: vmas.end(vma) - ARENA_PAGE,
      prot: letter(VM_READ, "r") + letter(VM_WRITE, "w") + letter(VM_EXEC, "x"),
      shared: (flags & VM_MAYSHARE) !== 0,
      offset: vmas.file(vma) === 0 ? 0 : vmas.pgoff(vma),
      flags: lettersOf(flags),
    });
  }
}
