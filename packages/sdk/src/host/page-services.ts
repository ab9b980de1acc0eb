import {
  makeDeviceExclusive,
  migrateVma,
  pinUserPages,
  unpinUserPages,
  type Kernel,
  type Thread,
} from "@mmu-notifier/core";
import { call, type Path } from "@mmu-notifier/steps";

/**
 * What the operating system does with pages on behalf of a driver, beside resolving faults. All of it sleeps and takes mmap_lock.
 *
 * @public
 */
export interface PageServices {
  /** pin_user_pages(FOLL_LONGTERM) of one page: its frame or -errno. The frame stays until {@link unpin}. */
  pin(vpn: number, write: boolean): Path<number>;
  /** unpin_user_pages_dirty_lock(): the device is done with the frame. */
  unpin(pfn: number): Path;
  /**
   * make_device_exclusive(): the CPU's entry faults until it, or anybody else, wants the page back. Anonymous memory only.
   *
   * @param owner token that EXCLUSIVE carries
   * @returns the frame, or -errno (-EBUSY: somebody else was quicker)
   */
  makeExclusive(vpn: number, owner: number): Path<number>;
  /**
   * migrate_vma_setup() to _finalize() of pages [start, end) of one VMA into memory of the device's own.
   *
   * @param owner token that MIGRATE carries
   * @returns pages that moved, or -errno
   */
  migrate(start: number, end: number, owner: number): Path<number>;
}

/** The services of the kernel model for the address space `mm`. */
export function pageServices(k: Kernel, mm: number): PageServices {
  const t: Thread = { cpu: 0, mm };
  return {
    *pin(vpn, write) {
      const pinned = yield* pinUserPages(k, t, vpn, 1, write);
      return typeof pinned === "number" ? pinned : pinned[0]!;
    },
    unpin: (pfn) => call("unpin_user_pages", unpinUserPages(k, [pfn])),
    makeExclusive: (vpn, owner) => makeDeviceExclusive(k, t, vpn, owner),
    migrate: (start, end, owner) => migrateVma(k, t, start, end, owner),
  };
}
