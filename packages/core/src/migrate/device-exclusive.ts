import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { EBUSY, EFAULT, EOPNOTSUPP } from "../errno.js";
import { getUserPages } from "../fault/gup.js";
import { folioTrylock, folioUnlock } from "../fault/folio-lock.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { folioPut } from "../folio.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { PG_ANON, PG_DIRTY } from "../page.js";
import { PTE_LEVEL } from "../page-table.js";
import {
  mkSwp,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  ptePfn,
  ptePresent,
  pteWrite,
  SWP_DEVICE_EXCLUSIVE_READ,
  SWP_DEVICE_EXCLUSIVE_WRITE,
} from "../pte.js";
import type { Thread } from "../thread.js";
import { ptepClearFlush, setPteAt } from "../tlb/ptep.js";

/**
 * make_device_exclusive(): page `vpn` belongs to a device for a while: the CPU's entry becomes one that faults. The page is made
 * present, writable and this process's own first. `owner` is told to subscribers, so that the device's own ignores it.
 *
 * @returns the frame, or -errno
 */
export function makeDeviceExclusive(k: Kernel, t: Thread, vpn: number, owner: number): Path<number> {
  return call("make_device_exclusive", exclusive(k, t, vpn, owner));
}

function* exclusive(k: Kernel, t: Thread, vpn: number, owner: number): Path<number> {
  const lock = k.mms.mmapLock(t.mm);
  yield downRead(lock);
  const result = yield* underLock(k, t, vpn, owner);
  yield upRead(lock);
  return result;
}

function* underLock(k: Kernel, t: Thread, vpn: number, owner: number): Path<number> {
  const vma = yield step("vma_lookup", () => k.vmas.lookup(k.mms.vmaList(t.mm), vpn));
  if (vma === 0) return -EFAULT;
  const page = yield* getUserPages(k, t.cpu, t.mm, vpn, {
    write: true,
    get: true,
    splitPmd: true,
    keepLock: true,
    remote: true,
  });
  if (page < 0) return page;
  const result = yield* exclusivePage(k, t, vpn, page, owner);
  yield step("folio_put", () => {
    folioPut(k, page);
    return 0;
  });
  return result;
}

function* exclusivePage(k: Kernel, t: Thread, vpn: number, page: number, owner: number): Path<number> {
  const anon = yield step("folio_test_anon", () => (k.pages.test(page, PG_ANON) ? 1 : 0));
  if (anon === 0) return -EOPNOTSUPP;
  const head = yield step("page_folio", () => k.pages.head(page));
  if ((yield folioTrylock(k, head)) === 0) return -EBUSY;
  const range = {
    mm: t.mm,
    start: vpn * PAGE_SIZE,
    end: (vpn + 1) * PAGE_SIZE,
    event: "MMU_NOTIFY_EXCLUSIVE",
    owner,
  } as const;
  yield* k.bus.invalidateRangeStart(range);
  const ptep = yield step("pte_offset_map", () => k.tables.find(k.mms.pgd(t.mm), PTE_LEVEL, vpn));
  let done = 0;
  if (ptep !== 0) {
    yield lockPtl(k, ptep);
    done = yield step("folio_walk_start", () => {
      const pte = k.tables.get(ptep);
      return ptePresent(pte) && ptePfn(pte) === page ? 1 : 0;
    });
    if (done !== 0) {
      const before = yield* ptepClearFlush(k, t.cpu, t.mm, vpn, ptep);
      if (k.pte.dirty(before)) {
        yield step("folio_mark_dirty", () => {
          k.pages.mark(page, PG_DIRTY);
          return 0;
        });
      }
      const type = pteWrite(before) ? SWP_DEVICE_EXCLUSIVE_WRITE : SWP_DEVICE_EXCLUSIVE_READ;
      // The entry keeps the mapping's reference and map count.
      yield setPteAt(k, t.mm, vpn, ptep, mkSwp(type, page, before & (PTE_UFFD_WP | PTE_SOFT_DIRTY)));
    }
    yield unlockPtl(k, ptep);
  }
  yield* k.bus.invalidateRangeEnd(range);
  yield folioUnlock(k, head);
  return done !== 0 ? page : -EBUSY;
}
