import { call, type Path, step } from "@mmu-notifier/steps";
import { EBUSY, EHWPOISON } from "../errno.js";
import { folioLock, folioUnlock } from "../fault/folio-lock.js";
import { BUS_MCEERR_AR, SIGBUS } from "../fault/user-fault.js";
import { folioPut } from "../folio.js";
import { splitFolio } from "../huge/split-folio.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { folioIsolateLru, migratePages } from "../migrate/migrate-pages.js";
import { PG_ANON, PG_DIRTY, PG_HUGETLB, PG_HWPOISON } from "../page.js";
import { tryToUnmap } from "../rmap/try-to-unmap.js";
import type { Thread } from "../thread.js";

/**
 * memory_failure(): the frame is broken. Every entry that maps it becomes a poison entry, and whoever touches it gets SIGBUS. The
 * caller's reference stays with the frame, which is never used again.
 *
 * @param vpn where the thread found the frame; since v6.12 it is told so at once if the contents are lost
 * @returns 0, -EHWPOISON when it was broken already, -EBUSY when a huge page around it cannot be split
 */
export function memoryFailure(k: Kernel, t: Thread, vpn: number, pfn: number): Path<number> {
  return call("memory_failure", fail(k, t, vpn, pfn));
}

function* fail(k: Kernel, t: Thread, vpn: number, pfn: number): Path<number> {
  const { cpu } = t;
  const known = yield step("TestSetPageHWPoison", () => {
    if ((k.pages.flags(pfn) & PG_HWPOISON) !== 0) return 1;
    k.pages.segment.i32[pfn * k.pages.segment.stride]! |= PG_HWPOISON;
    return 0;
  });
  if (known !== 0) {
    yield put(k, pfn);
    return -EHWPOISON;
  }
  if (!(yield* splitAround(k, cpu, pfn))) {
    yield put(k, pfn);
    return -EBUSY;
  }
  yield folioLock(k, pfn);
  const mapped = yield step("folio_mapped", () => (k.pages.totalMapcount(pfn) > 0 ? 1 : 0));
  yield* tryToUnmap(k, cpu, pfn, { ignoreMlock: true, hwpoison: true });
  if (mapped !== 0 && since(k.profile, 6, 12)) yield killProc(k, t.mm, vpn, pfn);
  yield step("page_action", () => {
    // A clean page of a file can be read again from its disk; nothing refers to the broken frame then.
    if (!k.pages.test(pfn, PG_ANON) && !k.pages.test(pfn, PG_DIRTY | PG_HUGETLB)) dropFromCache(k, pfn);
    return 0;
  });
  yield folioUnlock(k, pfn);
  return 0;
}

/** kill_proc() of the thread that asked (MF_ACTION_REQUIRED): only when the page was dirty, else it can be read again. */
function killProc(k: Kernel, mm: number, vpn: number, pfn: number) {
  return step("kill_procs", () => {
    if (k.observed && k.pages.test(pfn, PG_DIRTY))
      k.emit({ kind: "signal", mm, signal: SIGBUS, code: BUS_MCEERR_AR, vpn });
    return 0;
  });
}

/** me_pagecache_clean(): the cache gives the frame up, the poison keeps it. */
function dropFromCache(k: Kernel, pfn: number): void {
  const inode = k.pages.mapping(pfn);
  if (inode === 0) return;
  k.files.setCached(inode, k.pages.index(pfn), 0);
  k.pages.setMapping(pfn, 0);
  k.pages.put(pfn);
}

/** soft_offline_page(): the frame may break soon: its contents move to another one. Takes over the caller's reference. 0 or -EBUSY. */
export function softOffline(k: Kernel, cpu: number, pfn: number): Path<number> {
  return call("soft_offline_page", offline(k, cpu, pfn));
}

function* offline(k: Kernel, cpu: number, pfn: number): Path<number> {
  if (!(yield* splitAround(k, cpu, pfn))) {
    yield put(k, pfn);
    return -EBUSY;
  }
  const isolated = yield step("isolate_page", () => {
    const done = folioIsolateLru(k, pfn);
    folioPut(k, pfn);
    return done ? 1 : 0;
  });
  if (isolated === 0) return -EBUSY;
  return (yield* migratePages(k, cpu, [pfn], 0)) === 0 ? 0 : -EBUSY;
}

/** try_to_split_thp_page(): the frame is a page of its own, with the caller's reference. */
function* splitAround(k: Kernel, cpu: number, pfn: number): Path<boolean> {
  const head = yield step("compound_head", () => (k.pages.test(pfn, PG_HUGETLB) ? pfn : k.pages.head(pfn)));
  const pages = yield step("folio_nr_pages", () => (k.pages.test(pfn, PG_HUGETLB) ? 1 : k.pages.pages(pfn)));
  if (pages === 1) return true;
  if ((yield* splitFolio(k, cpu, head)) !== 0) return false;
  if (head === pfn) return true;
  yield step("folio_put", () => {
    k.pages.get(pfn);
    folioPut(k, head);
    return 0;
  });
  return true;
}

function put(k: Kernel, pfn: number) {
  return step("put_page", () => {
    folioPut(k, pfn);
    return 0;
  });
}
