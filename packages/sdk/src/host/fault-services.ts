import {
  EFAULT,
  FAULT_FLAG_REMOTE,
  FAULT_FLAG_USER,
  FAULT_FLAG_WRITE,
  getUserPages,
  handleMmFault,
  type Kernel,
  mmput,
  ptePfn,
  ptePresent,
  pteWrite,
  type Thread,
  VM_FAULT_ERROR,
  VM_FAULT_SIGSEGV,
  VM_READ,
  VM_WRITE,
} from "@mmu-notifier/core";
import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";

/** enum iommu_page_response_code. */
export const IOMMU_PAGE_RESP_SUCCESS = 0;
export const IOMMU_PAGE_RESP_INVALID = 1;
export const IOMMU_PAGE_RESP_FAILURE = 0xf;

/** How {@link FaultServices.getUserPages} is asked. */
export interface GupRequest {
  readonly write: boolean;
}

/** Bit of a {@link FaultServices.getUserPages} result: the host's entry allows writes. */
export const GUP_WRITABLE = 1;

/**
 * What the operating system does for a device of this address space.
 *
 * @public
 */
export interface FaultServices {
  /**
   * iommu_sva_handle_mm(): resolves a fault of the device against the mm. Sleeps; takes mmap_lock for reading.
   *
   * @returns IOMMU_PAGE_RESP_SUCCESS, also when there was nothing to do, or IOMMU_PAGE_RESP_INVALID
   */
  handleMmFault(vpn: number, write: boolean): Path<number>;
  /**
   * The frame behind page `vpn`, with write intent (COW broken first) or without: hva_to_pfn(). Sleeps. The reference is
   * dropped again: only the notifier keeps the frame.
   *
   * @returns `pfn * 2`, plus {@link GUP_WRITABLE} when the host's entry allows writes now; or -errno
   */
  getUserPages(vpn: number, request: GupRequest): Path<number>;
}

/**
 * The services of a real kernel model: iommu_sva_handle_mm() and hva_to_pfn() over the fault paths of `core`.
 *
 * @param cpu on which the fault worker runs
 */
export function faultServices(k: Kernel, mm: number, cpu = 0): FaultServices {
  return {
    handleMmFault: (vpn, write) => call("iommu_sva_handle_mm", svaHandleMm(k, { cpu, mm }, vpn, write)),
    getUserPages: (vpn, { write }) => call("hva_to_pfn", hvaToPfn(k, { cpu, mm }, vpn, write)),
  };
}

function* svaHandleMm(k: Kernel, t: Thread, vpn: number, write: boolean): Path<number> {
  if (!(yield* mmgetNotZero(k, t.mm))) return IOMMU_PAGE_RESP_INVALID;
  yield downRead(k.mms.mmapLock(t.mm));
  const wanted = write ? VM_WRITE : VM_READ;
  const vma = yield step("vma_lookup", () => {
    const found = k.vmas.lookup(k.mms.vmaList(t.mm), vpn);
    return found !== 0 && (k.vmas.flags(found) & wanted) !== 0 ? found : 0;
  });
  const flags = FAULT_FLAG_REMOTE | FAULT_FLAG_USER | (write ? FAULT_FLAG_WRITE : 0);
  const result = vma === 0 ? VM_FAULT_SIGSEGV : yield* handleMmFault(k, t.cpu, vma, vpn, flags);
  yield upRead(k.mms.mmapLock(t.mm));
  yield* mmput(k, t);
  return (result & VM_FAULT_ERROR) !== 0 ? IOMMU_PAGE_RESP_INVALID : IOMMU_PAGE_RESP_SUCCESS;
}

function* hvaToPfn(k: Kernel, t: Thread, vpn: number, write: boolean): Path<number> {
  if (!(yield* mmgetNotZero(k, t.mm))) return -EFAULT;
  yield downRead(k.mms.mmapLock(t.mm));
  const pfn = yield* getUserPages(k, t.cpu, t.mm, vpn, { write });
  const writable =
    pfn < 0
      ? 0
      : write
        ? GUP_WRITABLE
        : yield step("get_user_page_fast_only(FOLL_WRITE)", () => writableNow(k, t.mm, vpn, pfn));
  yield upRead(k.mms.mmapLock(t.mm));
  yield* mmput(k, t);
  return pfn < 0 ? pfn : pfn * 2 + writable;
}

/** A read fault may map the page writable when the host's entry is writable anyway. */
function writableNow(k: Kernel, mm: number, vpn: number, pfn: number): number {
  const ptep = k.tables.leaf(k.mms.pgd(mm), vpn);
  if (ptep === 0) return 0;
  const pte = k.tables.get(ptep);
  const at = ptePfn(pte) + (vpn % k.tables.span[k.tables.levelOf(ptep)]!);
  return ptePresent(pte) && pteWrite(pte) && at === pfn ? GUP_WRITABLE : 0;
}

function* mmgetNotZero(k: Kernel, mm: number): Path<boolean> {
  const got = yield step("mmget_not_zero", () => {
    if (!k.mms.isLive(mm) || k.mms.users(mm) === 0) return 0;
    k.mms.addUsers(mm, 1);
    return 1;
  });
  return got !== 0;
}
