/** What a zap may take: struct zap_details. */
export interface ZapDetails {
  /** Private copies of a file's pages go as well, not only the file's own pages. */
  readonly evenCows: boolean;
  /** PTE markers (userfaultfd write protection of file pages, guard regions) go as well. */
  readonly dropMarkers: boolean;
  /** A page table that gets empty is freed (since v6.14 on x86). */
  readonly reclaimTables: boolean;
  /** Only entries that map this folio, given by its head; 0 for all. */
  readonly folio: number;
}

/** unmap_vmas(): everything goes. */
export const ZAP_UNMAP: ZapDetails = { evenCows: true, dropMarkers: true, reclaimTables: false, folio: 0 };
/** MADV_DONTNEED: what is mapped goes, markers stay. */
export const ZAP_DONTNEED: ZapDetails = { evenCows: true, dropMarkers: false, reclaimTables: true, folio: 0 };
/** Truncation: private copies go with the file's pages. */
export const ZAP_TRUNCATE: ZapDetails = { evenCows: true, dropMarkers: false, reclaimTables: false, folio: 0 };
/** Hole punching and invalidation: private copies stay. */
export const ZAP_FILE_ONLY: ZapDetails = { evenCows: false, dropMarkers: false, reclaimTables: false, folio: 0 };
