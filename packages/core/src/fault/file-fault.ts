import { call, mightSleep, type Path, step } from "@mmu-notifier/steps";
import { INODE_DAX, INODE_DISK, INODE_PFNMAP } from "../file.js";
import type { Kernel } from "../kernel.js";
import { PG_LOCKED } from "../page.js";
import { VM_SHARED } from "../vma.js";
import { vmfAnonPrepare } from "./anon-vma-prepare.js";
import { vmfCanCallFault } from "./fault-lock.js";
import { doFaultAround, shouldFaultAround } from "./fault-around.js";
import { faultPage } from "./file-ops.js";
import { finishFault } from "./finish-fault.js";
import { faultDirtySharedPage, pageMkwrite } from "./file-write-notify.js";
import { daxFault } from "./dax-fault.js";
import { pfnmapFault } from "./pfnmap-fault.js";
import {
  VM_FAULT_DONE_COW,
  VM_FAULT_ERROR,
  VM_FAULT_LOCKED,
  VM_FAULT_NOPAGE,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
  type VmFault,
} from "./vm-fault.js";

/** What ends a fault before its page is mapped. */
const FAILED = VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY;

/** do_fault(): nothing is mapped in a file mapping. */
export function doFault(k: Kernel, vmf: VmFault): Path<number> {
  if (!vmf.write) return call("do_read_fault", doReadFault(k, vmf));
  if (!vmf.has(VM_SHARED)) return call("do_cow_fault", doCowFault(k, vmf));
  return call("do_shared_fault", doSharedFault(k, vmf));
}

function* doReadFault(k: Kernel, vmf: VmFault): Path<number> {
  if (shouldFaultAround(k, vmf)) {
    const around = yield* doFaultAround(k, vmf);
    if (around !== 0) return around;
  }
  const retry = yield* vmfCanCallFault(k, vmf);
  if (retry !== 0) return retry;
  if (vmf.kind === INODE_DAX) return yield* daxFault(k, vmf);
  if (vmf.kind === INODE_PFNMAP) return yield* pfnmapFault(k, vmf);
  const result = yield* faultPage(k, vmf);
  if ((result & FAILED) !== 0) return result;
  const finished = result | (yield* finishFault(k, vmf, vmf.page));
  yield unlockAndPut(k, vmf.page, (finished & FAILED) !== 0);
  return finished;
}

/** A private mapping is written before it was read: the page is copied before it is ever mapped. */
function* doCowFault(k: Kernel, vmf: VmFault): Path<number> {
  const retry = (yield* vmfCanCallFault(k, vmf)) || (yield* vmfAnonPrepare(k, vmf));
  if (retry !== 0) return retry;
  yield mightSleep("folio_prealloc");
  const copy = yield step("folio_prealloc", () => k.pages.alloc());
  if (copy === 0) return VM_FAULT_OOM;
  if (vmf.kind === INODE_DAX) return yield* daxCowFault(k, vmf, copy);
  const result = vmf.kind === INODE_PFNMAP ? yield* pfnmapFault(k, vmf) : yield* faultPage(k, vmf);
  if ((result & FAILED) !== 0) {
    yield putPage(k, copy);
    return result;
  }
  const { page } = vmf;
  yield step("copy_mc_user_highpage", () => {
    k.pages.setContent(copy, k.pages.content(page));
    return 0;
  });
  const finished = result | (yield* finishFault(k, vmf, copy));
  yield unlockAndPut(k, page, true);
  if ((finished & FAILED) !== 0) yield putPage(k, copy);
  return finished;
}

/** dax_iomap_fault() of a private write: DAX fills the copy itself. */
function* daxCowFault(k: Kernel, vmf: VmFault, copy: number): Path<number> {
  const filled = yield step("dax_fault_cow_page", () => {
    const inode = k.files.inode(k.vmas.file(vmf.vma));
    const pgoff = k.vmas.linearIndex(vmf.vma, vmf.vpn);
    const pfn = pgoff < k.files.size(inode) ? k.files.stored(inode, pgoff) : 0;
    if (pfn !== 0) k.pages.setContent(copy, k.pages.content(pfn));
    return pfn;
  });
  const finished = filled === 0 ? VM_FAULT_SIGBUS : yield* finishFault(k, vmf, copy);
  if ((finished & FAILED) !== 0) yield putPage(k, copy);
  return (finished & FAILED) !== 0 ? finished : finished | VM_FAULT_DONE_COW;
}

function* doSharedFault(k: Kernel, vmf: VmFault): Path<number> {
  const retry = yield* vmfCanCallFault(k, vmf);
  if (retry !== 0) return retry;
  if (vmf.kind === INODE_DAX) return yield* daxFault(k, vmf);
  if (vmf.kind === INODE_PFNMAP) return yield* pfnmapFault(k, vmf);
  const result = yield* faultPage(k, vmf);
  if ((result & FAILED) !== 0) return result;
  const { page } = vmf;
  let sum = result;
  if (vmf.kind === INODE_DISK) {
    yield unlock(k, page);
    const mkwrite = yield* pageMkwrite(k, vmf, page);
    if ((mkwrite & VM_FAULT_LOCKED) === 0) return mkwrite;
    sum |= mkwrite & ~VM_FAULT_LOCKED;
  }
  const finished = sum | (yield* finishFault(k, vmf, page));
  if ((finished & FAILED) !== 0) {
    yield unlockAndPut(k, page, true);
    return finished;
  }
  return finished | (yield* faultDirtySharedPage(k, vmf, page, true));
}

function unlock(k: Kernel, page: number) {
  return unlockAndPut(k, page, false);
}

function unlockAndPut(k: Kernel, page: number, put: boolean) {
  return step(put ? "folio_unlock, folio_put" : "folio_unlock", () => {
    k.pages.unmark(page, PG_LOCKED);
    if (put) k.pages.put(page);
    return 0;
  });
}

function putPage(k: Kernel, page: number) {
  return step("folio_put", () => {
    k.pages.put(page);
    return 0;
  });
}
