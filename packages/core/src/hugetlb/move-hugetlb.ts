import { call, downWrite, type Path, spinLock, spinUnlock, step, upWrite } from "@mmu-notifier/steps";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { PMD_LEVEL } from "../page-table.js";
import { pteNone } from "../pte.js";
import { flushTlbRange } from "../tlb/flush.js";
import { hugetlbGather } from "./hugetlb-gather.js";

/** move_hugetlb_page_tables(): moves the huge entries of a range; announced as CLEAR and flushed before the end. */
export function moveHugetlbPageTables(
  k: Kernel,
  cpu: number,
  vma: number,
  oldStart: number,
  newStart: number,
  pages: number,
): Path {
  return call("move_hugetlb_page_tables", move(k, cpu, vma, oldStart, newStart, pages));
}

function* move(k: Kernel, cpu: number, vma: number, oldStart: number, newStart: number, pages: number): Path {
  const mm = yield step("vma->vm_mm", () => k.vmas.mm(vma));
  const end = oldStart + pages;
  const range = { mm, start: oldStart * PAGE_SIZE, end: end * PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" } as const;
  const tlb = yield* hugetlbGather(k, cpu, mm);
  yield* k.bus.invalidateRangeStart(range);
  const inode = yield step("vma->vm_file->f_mapping", () => k.files.inode(k.vmas.file(vma)));
  yield downWrite(k.files.iMmapLock(inode));
  const span = k.tables.hugePages;
  for (let at = oldStart; at < end; at += span) {
    const vpn = at;
    const oldp = yield step("hugetlb_walk", () => {
      const ptep = k.tables.find(k.mms.pgd(mm), PMD_LEVEL, vpn);
      return ptep === 0 || pteNone(k.tables.get(ptep)) ? 0 : ptep;
    });
    if (oldp === 0) continue;
    const newp = yield step("huge_pte_alloc", () =>
      k.tables.findOrCreate(k.mms.pgd(mm), PMD_LEVEL, vpn - oldStart + newStart),
    );
    const first = k.tables.tableOf(newp);
    const second = k.tables.tableOf(oldp);
    yield spinLock(k.tables.ptl(first));
    if (second !== first) yield spinLock(k.tables.ptl(second), 1);
    yield step("move_huge_pte", () => {
      k.tables.set(newp, k.tables.get(oldp));
      k.tables.set(oldp, 0);
      return 0;
    });
    if (second !== first) yield spinUnlock(k.tables.ptl(second));
    yield spinUnlock(k.tables.ptl(first));
    tlb?.removeEntry(vpn, span);
  }
  if (tlb === undefined) yield* flushTlbRange(k, cpu, mm, oldStart, end, { stridePages: span });
  else yield* tlb.flushTlbOnly();
  yield upWrite(k.files.iMmapLock(inode));
  yield* k.bus.invalidateRangeEnd(range);
  if (tlb !== undefined) yield* tlb.finish();
}
