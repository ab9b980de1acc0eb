import { call, type Path, step, waitFor } from "@mmu-notifier/steps";
import { INODE_DISK } from "../file.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_DIRTY, PG_LOCKED, PG_READAHEAD, PG_WRITEBACK } from "../page.js";
import { releaseFaultLock } from "./fault-lock.js";
import { folioLock } from "./folio-lock.js";
import { daxInsertPfnMkwrite } from "./dax-fault.js";
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_RETRY_NOWAIT,
  FAULT_FLAG_TRIED,
  VM_FAULT_COMPLETED,
  VM_FAULT_LOCKED,
  VM_FAULT_NOPAGE,
  VM_FAULT_RETRY,
  type VmFault,
} from "./vm-fault.js";

/**
 * ->page_mkwrite() of a disk file system: waits for writeback, takes the folio lock, marks the page dirty. The fault's
 * reference on `page` is dropped when it fails.
 *
 * @returns VM_FAULT_LOCKED, or VM_FAULT_NOPAGE when the page was truncated meanwhile
 */
export function pageMkwrite(k: Kernel, _vmf: VmFault, page: number): Path<number> {
  return call("page_mkwrite", mkwrite(k, page));
}

function* mkwrite(k: Kernel, page: number): Path<number> {
  yield folioLock(k, page);
  yield waitFor("folio_wait_stable", () => !k.pages.test(page, PG_WRITEBACK));
  return yield step("folio_mkclean_prepare", () => {
    if (k.pages.mapping(page) === 0) {
      k.pages.unmark(page, PG_LOCKED);
      k.pages.put(page);
      return VM_FAULT_NOPAGE;
    }
    markDirty(k, page);
    // block_page_mkwrite() prepares the whole folio.
    k.pages.setBuffersDirty(k.pages.head(page), 0, k.pages.pages(page), true);
    return VM_FAULT_LOCKED;
  });
}

/** ->pfn_mkwrite() of a DAX file: installs the writable entry itself. */
export function pfnMkwrite(k: Kernel, vmf: VmFault): Path<number> {
  return call("pfn_mkwrite", daxInsertPfnMkwrite(k, vmf));
}

/** folio_mark_dirty(): also forgets that reclaim wanted the page (PG_reclaim, the same bit as PG_readahead). */
function markDirty(k: Kernel, page: number): void {
  k.pages.mark(page, PG_DIRTY);
  k.pages.unmark(page, PG_READAHEAD);
}

const DIRTIED = 1;

/**
 * fault_dirty_shared_page(): after a shared page was made writable. Unlocks it and drops the fault's reference. When it became
 * dirty, the writer is throttled with the fault's lock dropped.
 *
 * @returns 0, VM_FAULT_COMPLETED (VM_FAULT_RETRY up to v5.19) with the lock dropped
 */
export function* faultDirtySharedPage(k: Kernel, vmf: VmFault, page: number, keepReference = false): Path<number> {
  const dirtied = yield step("fault_dirty_shared_page", () => {
    const was = k.pages.test(page, PG_DIRTY);
    const mapped = k.pages.mapping(page) !== 0;
    markDirty(k, page);
    k.pages.unmark(page, PG_LOCKED);
    return (!was || vmf.kind === INODE_DISK) && mapped ? DIRTIED : 0;
  });
  let result = 0;
  if (dirtied === DIRTIED && mayDropLock(vmf)) {
    yield* releaseFaultLock(k, vmf);
    result = since(k.profile, 6, 0) ? VM_FAULT_COMPLETED : VM_FAULT_RETRY;
  }
  if (!keepReference) {
    yield step("folio_put", () => {
      k.pages.put(page);
      return 0;
    });
  }
  return result;
}

/** fault_flag_allow_retry_first() and not RETRY_NOWAIT: maybe_unlock_mmap_for_io() drops the lock. */
export function mayDropLock(vmf: VmFault): boolean {
  return (vmf.flags & (FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_TRIED | FAULT_FLAG_RETRY_NOWAIT)) === FAULT_FLAG_ALLOW_RETRY;
}
