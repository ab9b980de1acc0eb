import { type Path, step } from "@mmu-notifier/steps";
import { INODE_DISK, INODE_SHMEM } from "../file.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_HWPOISON, PG_LOCKED, PG_READAHEAD } from "../page.js";
import { thpVmaSuitable, vmaThpDisabled } from "../huge/thp-eligible.js";
import { VM_EXEC, VM_HUGEPAGE, VM_RAND_READ, VM_UFFD_MINOR } from "../vma.js";
import { releaseFaultLock } from "./fault-lock.js";
import { folioLock } from "./folio-lock.js";
import { mayDropLock } from "./file-write-notify.js";
import { filemapGet, readAhead, type ReadAround, readAround, shmemGetPage } from "./page-cache.js";
import { handleUserfault, userfaultfdMissing } from "./userfault.js";
import {
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
      const inode = yield step("file->f_mapping", () => k.files.inode(k.vmas.file(vmf.vma)));
      const pgoff = yield step("vmf->pgoff", () => k.vmas.linearIndex(vmf.vma, vmf.vpn));
      const how = yield* readHow(k, vmf);
      if (!mayDropLock(vmf)) {
        yield* readAround(k, inode, pgoff, how);
        continue;
      }
      // Reading takes long: the lock is given up, and the access starts over with the page in the cache.
      yield* releaseFaultLock(k, vmf);
      yield* readAround(k, inode, pgoff, how);
      return VM_FAULT_MAJOR | VM_FAULT_RETRY;
    }
    const page = found;
    vmf.page = page;
    if (vmf.kind === INODE_DISK && !vmf.has(VM_RAND_READ)) {
      const again = yield* asyncReadahead(k, vmf, page);
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

/** Code is read from the fault on and never beyond its mapping since v6.17, since it jumps about. */
function* readHow(k: Kernel, vmf: VmFault): Path<ReadAround> {
  if (vmf.has(VM_RAND_READ)) return "single";
  if (!vmf.has(VM_EXEC) || !since(k.profile, 6, 17)) return "around";
  return { until: yield step("vma_pages", () => k.vmas.linearIndex(vmf.vma, k.vmas.end(vmf.vma))) };
}

/** do_async_mmap_readahead(): a marked page starts the next batch, with the lock dropped if it may be. VM_FAULT_RETRY then. */
function* asyncReadahead(k: Kernel, vmf: VmFault, page: number): Path<number> {
  const marked = yield step("folio_test_readahead", () => (k.pages.test(page, PG_READAHEAD) ? 1 : 0));
  if (marked === 0) return 0;
  const inode = yield step("file->f_mapping", () => k.files.inode(k.vmas.file(vmf.vma)));
  const pgoff = yield step("vmf->pgoff", () => k.vmas.linearIndex(vmf.vma, vmf.vpn));
  const drops = mayDropLock(vmf);
  if (drops) yield* releaseFaultLock(k, vmf);
  yield* readAhead(k, inode, pgoff, page);
  if (!drops) return 0;
  yield step("folio_put", () => {
    k.pages.put(page);
    return 0;
  });
  return VM_FAULT_RETRY;
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
