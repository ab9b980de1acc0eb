import type { Path } from "@mmu-notifier/steps";

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
