import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { thpAllowedByFlags, vmaThpDisabled } from "../huge/thp-eligible.js";
import type { Thread } from "../thread.js";
import { VM_HUGETLB, VM_SPECIAL } from "../vma.js";
import { collapseHugePage } from "./collapse-huge-page.js";
import { SCAN_SUCCEED, SCAN_SWAPPED, scanPmd } from "./scan-pmd.js";

/**
 * khugepaged_scan_mm_slot(): one pass over the anonymous memory of one process that asked for huge pages (or all memory, with
 * "always").
 *
 * @returns huge pages made
 */
export function khugepagedScan(k: Kernel, t: Thread): Path<number> {
  return call("khugepaged", scan(k, t));
}

function* scan(k: Kernel, t: Thread): Path<number> {
  const lock = k.mms.mmapLock(t.mm);
  const span = k.tables.hugePages;
  yield downRead(lock);
  let made = 0;
  for (let base = 0; ; base += span) {
    const from = base;
    base = yield step("khugepaged_scan_mm_slot", () => nextBlock(k, t.mm, from));
    if (base < 0) break;
    const here = base;
    const vma = yield step("find_vma", () => k.vmas.lookup(k.mms.vmaList(t.mm), here));
    const scanned = yield step("hpage_collapse_scan_pmd", () => scanPmd(k, vma, here));
    if (scanned !== SCAN_SUCCEED && scanned !== SCAN_SWAPPED) continue;
    if ((yield* collapseHugePage(k, t, vma, here, scanned)) === SCAN_SUCCEED) made++;
  }
  yield upRead(lock);
  return made;
}

/** The next whole block from `from` on in a VMA that khugepaged looks at, or -1. */
function nextBlock(k: Kernel, mm: number, from: number): number {
  const list = k.mms.vmaList(mm);
  const span = k.tables.hugePages;
  for (let i = k.vmas.indexAbove(list, from); i < k.vmas.count(list); i++) {
    const vma = k.vmas.at(list, i);
    const flags = k.vmas.flags(vma);
    if (k.vmas.anonVma(vma) === 0 || k.vmas.file(vma) !== 0 || (flags & (VM_SPECIAL | VM_HUGETLB)) !== 0) continue;
    if (vmaThpDisabled(k, mm, flags) || !thpAllowedByFlags(k, flags, 0)) continue;
    const base = Math.ceil(Math.max(from, k.vmas.start(vma)) / span) * span;
    if (base + span <= k.vmas.end(vma)) return base;
  }
  return -1;
}
