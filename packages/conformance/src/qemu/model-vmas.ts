import { type Kernel, VM_EXEC, VM_MAYSHARE, VM_MIXEDMAP, VM_READ, VM_WRITE } from "@mmu-notifier/core";
import { ARENA_PAGE, ARENA_REACH, smapsFlags } from "@mmu-notifier/script";
import type { QemuVma } from "./qemu-record.js";

/** Everything that smaps prints of a VMA and that records keep: all flags but mm. */
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
      flags: smapsFlags(flags & ~VM_MIXEDMAP),
    });
  }
}
