import { mightSleep, type Path, step } from "@mmu-notifier/steps";
import { INODE_DISK, INODE_SHMEM, RA_ASYNC_SIZE, RA_ORDER, RA_SIZE, RA_START } from "../file.js";
import { hugeOrder } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_HWPOISON, PG_LOCKED, PG_READAHEAD, PG_UPTODATE } from "../page.js";
import { thpVmaSuitable, vmaThpDisabled } from "../huge/thp-eligible.js";
import { VM_EXEC, VM_HUGEPAGE, VM_RAND_READ, VM_SEQ_READ, VM_UFFD_MINOR } from "../vma.js";
import { releaseFaultLock } from "./fault-lock.js";
import { folioLock } from "./folio-lock.js";
import { mayDropLock } from "./file-write-notify.js";
import { filemapGet, readPage, shmemGetPage } from "./page-cache.js";
import { pageCacheAsyncRa, pageCacheRaOrder, pageCacheSyncRa } from "./readahead.js";
import { handleUserfault, userfaultfdMissing } from "./userfault.js";
import {
  FAULT_FLAG_TRIED,
  VM_FAULT_HWPOISON,
  VM_FAULT_LOCKED,
  VM_FAULT_MAJOR,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
  type VmFault,
} from "./vm-fault.js";

const BEYOND_END = 0;
const MISSING = -1;
const TRUNCATED = -2;
const USERFAULT_MISSING = -3;
const USERFAULT_MINOR = -4;

/**
 * ->fault() of a file mapping: shmem_fault() or filemap_fault(). On success `vmf.page` is the page, locked and with a reference.
 *
 * @returns VM_FAULT_LOCKED (and VM_FAULT_MAJOR when it was read in), VM_FAULT_RETRY with the lock dropped, or an error
 */
export function* faultPage(k: Kernel, vmf: VmFault): Path<number> {
  let major = 0;
  for (;;) {
    const found = yield vmf.kind === INODE_SHMEM ? shmemLookup(k, vmf) : diskLookup(k, vmf);
    if (found === BEYOND_END) return VM_FAULT_SIGBUS;
    if (found === USERFAULT_MISSING || found === USERFAULT_MINOR) {
      return yield* handleUserfault(k, vmf, found === USERFAULT_MISSING ? "missing" : "minor");
    }
    if (found === MISSING) {
      major = VM_FAULT_MAJOR;
      // Reading takes long: the lock is given up, and the access starts over with the page in the cache.
      const drops = mayDropLock(vmf);
      if (drops) yield* releaseFaultLock(k, vmf);
      yield* syncMmapReadahead(k, vmf);
      if (!drops) continue;
      return VM_FAULT_MAJOR | VM_FAULT_RETRY;
    }
    const page = found;
    vmf.page = page;
    if (vmf.kind === INODE_DISK) {
      const again = yield* beforeLock(k, vmf, page);
      if (again !== 0) return again;
    }
    yield folioLock(k, page);
    const state = yield step("folio_test_uptodate", () => {
      if (k.pages.mapping(page) !== 0)
        return (k.pages.flags(page) & PG_HWPOISON) !== 0 ? VM_FAULT_HWPOISON : VM_FAULT_LOCKED;
      k.pages.unmark(page, PG_LOCKED);
      k.pages.put(page);
      return TRUNCATED;
    });
    if (state === VM_FAULT_LOCKED) return VM_FAULT_LOCKED | major;
    if (state === TRUNCATED) continue;
    yield step("folio_unlock, folio_put", () => {
      k.pages.unmark(page, PG_LOCKED);
      k.pages.put(page);
      return 0;
    });
    return VM_FAULT_HWPOISON;
  }
}

/** do_sync_mmap_readahead() of a page that is not cached, and the wait until the disk has delivered it. May sleep. */
function* syncMmapReadahead(k: Kernel, vmf: VmFault): Path {
  yield mightSleep("do_sync_mmap_readahead");
  yield step("do_sync_mmap_readahead", () => {
    const file = k.vmas.file(vmf.vma);
    const inode = k.files.inode(file);
    const index = k.vmas.linearIndex(vmf.vma, vmf.vpn);
    mmapReadahead(k, vmf, file, index);
    if (filemapGet(k, inode, index) === 0) readPage(k, inode, index);
    k.diskReads.wait(k.pages, filemapGet(k, inode, index));
    return 0;
  });
}

function mmapReadahead(k: Kernel, vmf: VmFault, file: number, index: number): void {
  const { files } = k;
  const most = k.config.readAheadPages;
  if (vmf.has(VM_HUGEPAGE) && since(k.profile, 5, 18)) {
    const block = k.tables.hugePages;
    files.setRa(file, RA_SIZE, vmf.has(VM_RAND_READ) ? block : 2 * block);
    files.setRa(file, RA_ASYNC_SIZE, block);
    files.setRa(file, RA_ORDER, hugeOrder(k));
    return pageCacheRaOrder(k, file, index - (index % block));
  }
  const codeAhead = vmf.has(VM_EXEC) && since(k.profile, 6, 17);
  // A window of one page is that page.
  if (most <= 1 || (vmf.has(VM_RAND_READ) && !codeAhead)) return;
  if (vmf.has(VM_SEQ_READ)) return pageCacheSyncRa(k, file, index, most);
  files.setRa(file, RA_ORDER, 0);
  if (codeAhead) {
    // Code jumps about: it is read from the fault on and never beyond its mapping.
    const end = Math.min(index + most, k.vmas.linearIndex(vmf.vma, k.vmas.end(vmf.vma)));
    files.setRaWindow(file, index, end - index, 0);
  } else files.setRaWindow(file, Math.max(0, index - (most >> 1)), most, most >> 2);
  pageCacheRaOrder(k, file, files.ra(file, RA_START));
}

const MARKED = 1;
const ON_ITS_WAY = 2;

/**
 * do_async_mmap_readahead() and lock_folio_maybe_drop_mmap(): a marked page starts the next window of readahead, and a page that the
 * disk has not delivered is waited for; both with the fault's lock dropped if it may be. VM_FAULT_RETRY then.
 */
function* beforeLock(k: Kernel, vmf: VmFault, page: number): Path<number> {
  const found = yield step("folio_test_readahead", () => {
    const ahead = !vmf.has(VM_RAND_READ) && (vmf.flags & FAULT_FLAG_TRIED) === 0 && k.pages.test(page, PG_READAHEAD);
    return (ahead ? MARKED : 0) | (k.pages.test(page, PG_UPTODATE) ? 0 : ON_ITS_WAY);
  });
  if (found === 0) return 0;
  const drops = mayDropLock(vmf);
  if (drops) yield* releaseFaultLock(k, vmf);
  yield mightSleep("page_cache_async_ra");
  yield step("page_cache_async_ra", () => {
    const index = k.vmas.linearIndex(vmf.vma, vmf.vpn);
    if ((found & MARKED) !== 0) pageCacheAsyncRa(k, k.vmas.file(vmf.vma), index, page, k.config.readAheadPages);
    k.diskReads.wait(k.pages, page);
    if (drops) k.pages.put(page);
    return 0;
  });
  return drops ? VM_FAULT_RETRY : 0;
}

/** The frame with a reference. */
function shmemLookup(k: Kernel, vmf: VmFault) {
  return step("shmem_get_folio_gfp", () => {
    const inode = k.files.inode(k.vmas.file(vmf.vma));
    const pgoff = k.vmas.linearIndex(vmf.vma, vmf.vpn);
    if (pgoff >= k.files.size(inode)) return BEYOND_END;
    const slot = k.files.cached(inode, pgoff);
    if (slot !== 0 && vmf.has(VM_UFFD_MINOR)) return USERFAULT_MINOR;
    if (slot === 0 && userfaultfdMissing(vmf)) return USERFAULT_MISSING;
    const page = shmemGetPage(k, inode, pgoff, shmemHuge(k, vmf));
    k.pages.get(page);
    return page;
  });
}

/** shmem_allowable_huge_orders(): sysfs, or MADV_HUGEPAGE where it asks for that, and a VMA that can map the block. Inside a step. */
function shmemHuge(k: Kernel, vmf: VmFault): boolean {
  const { shmemThp } = k.config;
  if (shmemThp === "never" || (shmemThp === "advise" && !vmf.has(VM_HUGEPAGE))) return false;
  // Up to v6.10 the file's blocks alone decided, whatever part of one the VMA maps.
  return !vmaThpDisabled(k, vmf.mm, vmf.vmFlags) && (!since(k.profile, 6, 11) || thpVmaSuitable(k, vmf.vma, vmf.vpn));
}

function diskLookup(k: Kernel, vmf: VmFault) {
  return step("filemap_get_folio", () => {
    const inode = k.files.inode(k.vmas.file(vmf.vma));
    const pgoff = k.vmas.linearIndex(vmf.vma, vmf.vpn);
    if (pgoff >= k.files.size(inode)) return BEYOND_END;
    const page = filemapGet(k, inode, pgoff);
    if (page === 0) return MISSING;
    k.pages.get(page);
    return page;
  });
}
