import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { shmemGetPage } from "../fault/page-cache.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { vmPageProtOf } from "../fault/vm-page-prot.js";
import { folioFreeSwap } from "../folio.js";
import { readSwapCache } from "../folio-swap.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_ANON, PG_DIRTY } from "../page.js";
import { PTE_LEVEL } from "../page-table.js";
import {
  isSwapPte,
  mkPte,
  type Pte,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  pteMkold,
  pteMksoftDirty,
  pteMkuffdWp,
  SWP_SWAP,
  swpExclusive,
  swpOffset,
  swpType,
} from "../pte.js";
import { folioAddAnonRmap, folioAddNewAnonRmap } from "../rmap/rmap.js";
import type { Thread } from "../thread.js";
import { setPteAt } from "../tlb/ptep.js";
import { nextPopulatedBlock } from "../unmap/zap-range.js";

/** swapoff(2): everything comes back to memory, read-only and old; nobody is told, since nothing was mapped. Always 0. */
export function sysSwapoff(k: Kernel, _t: Thread): Path<number> {
  return call("swapoff", swapoff(k));
}

/** swapon(2). */
export function* sysSwapon(k: Kernel, _t: Thread): Path<number> {
  return yield step("swapon", () => {
    k.swap.setEnabled(true);
    return 0;
  });
}

function* swapoff(k: Kernel): Path<number> {
  yield step("del_from_avail_list", () => {
    k.swap.setEnabled(false);
    return 0;
  });
  yield step("shmem_unuse", () => {
    for (let inode = 1; inode < k.files.inodes.used; inode++) if (k.files.inodes.isLive(inode)) shmemUnuse(k, inode);
    return 0;
  });
  for (let mm = 0; ;) {
    const after = mm;
    mm = yield step("unuse_mm", () => {
      for (let at = after + 1; at < k.mms.segment.used; at++) if (k.mms.isLive(at) && k.mms.users(at) > 0) return at;
      return 0;
    });
    if (mm === 0) return 0;
    const lock = k.mms.mmapLock(mm);
    yield downRead(lock);
    yield* unuseMm(k, mm);
    yield upRead(lock);
  }
}

function shmemUnuse(k: Kernel, inode: number): void {
  const length = k.files.cacheLength(inode);
  for (let index = 0; index < length; index++) if (k.files.cached(inode, index) < 0) shmemGetPage(k, inode, index);
}

function* unuseMm(k: Kernel, mm: number): Path {
  for (let vpn = 0; ; vpn++) {
    const from = vpn;
    vpn = yield step("unuse_pte_range", () => nextSwapped(k, mm, from));
    if (vpn < 0) return;
    yield* unusePte(k, mm, vpn);
  }
}

/** The next page from `from` on that is in swap, or -1. */
function nextSwapped(k: Kernel, mm: number, from: number): number {
  const list = k.mms.vmaList(mm);
  const pgd = k.mms.pgd(mm);
  for (let i = k.vmas.indexAbove(list, from); i < k.vmas.count(list); i++) {
    const vma = k.vmas.at(list, i);
    const end = k.vmas.end(vma);
    for (let vpn = Math.max(from, k.vmas.start(vma)); vpn < end; vpn++) {
      vpn = nextPopulatedBlock(k, mm, vpn, end);
      if (vpn >= end) break;
      const ptep = k.tables.find(pgd, PTE_LEVEL, vpn);
      if (ptep === 0) vpn += k.tables.hugePages - 1 - (vpn % k.tables.hugePages);
      else if (isSwapped(k.tables.get(ptep))) return vpn;
    }
  }
  return -1;
}

const isSwapped = (pte: Pte): boolean => isSwapPte(pte) && swpType(pte) === SWP_SWAP;

/** unuse_pte(): read-only until somebody writes, whatever the entry was before. */
function* unusePte(k: Kernel, mm: number, vpn: number): Path {
  const vma = yield step("find_vma", () => k.vmas.lookup(k.mms.vmaList(mm), vpn));
  const ptep = yield step("pte_offset_map_lock", () => k.tables.find(k.mms.pgd(mm), PTE_LEVEL, vpn));
  yield lockPtl(k, ptep);
  const entry = yield step("unuse_pte", () => {
    const old = k.tables.get(ptep);
    return isSwapped(old) ? mapped(k, vma, vpn, old) : 0;
  });
  if (entry !== 0) yield setPteAt(k, mm, vpn, ptep, entry);
  yield unlockPtl(k, ptep);
}

function mapped(k: Kernel, vma: number, vpn: number, old: Pte): Pte {
  const slot = swpOffset(old);
  const pfn = readSwapCache(k, slot);
  k.pages.get(pfn);
  const exclusive = swpExclusive(old) && since(k.profile, 5, 19);
  if (k.pages.test(pfn, PG_ANON)) folioAddAnonRmap(k, pfn, vma, vpn, exclusive);
  else {
    folioAddNewAnonRmap(k, pfn, vma, vpn);
    k.pages.setAnonExclusive(pfn, exclusive);
  }
  k.pages.mark(pfn, PG_DIRTY);
  k.swap.put(slot);
  folioFreeSwap(k, pfn);
  let pte = pteMkold(mkPte(pfn, vmPageProtOf(k, vma)));
  if ((old & PTE_SOFT_DIRTY) !== 0) pte = pteMksoftDirty(pte);
  if ((old & PTE_UFFD_WP) !== 0) pte = pteMkuffdWp(k.pte.wrprotect(pte));
  return pte;
}
