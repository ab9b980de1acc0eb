import { INODE_DISK, type Kernel, PG_ANON, PG_DIRTY, PG_SWAPCACHE, PG_WRITEBACK } from "@mmu-notifier/core";
import type { Report } from "../../engine/model.js";
import type { WatchedPages } from "../watch/watched-pages.js";
import type { PageName } from "./coherence.js";
import { RULES } from "./rules.js";
import { Truth } from "./truth.js";

/**
 * Pages that a device wrote, that nobody knows to be dirty, and whose copy on the disk or in swap is another: reclaim would drop them. When
 * nobody is in a call: until then writeback may be about to look.
 */
export function dirtyReports(k: Kernel, pages: WatchedPages, name: PageName, reports: Report[]): void {
  for (const { home, mm, vpn } of pages.writtenByDevice) {
    if (!k.pages.isLive(home) || isDirty(k, home, vpn)) continue;
    const stored = storedOf(k, home);
    if (stored === undefined || stored === k.pages.content(home)) continue;
    const page = name(vpn, mm);
    reports.push({
      verdict: "LOST-DIRTY",
      about: page,
      what: `a device wrote frame ${home} of ${page}, the page is clean, and what is stored of it is older`,
      rule: RULES.T4,
    });
  }
}

/** The frame is dirty, or is being written, or an entry of the page says so in some address space. */
function isDirty(k: Kernel, pfn: number, vpn: number): boolean {
  if (k.pages.test(pfn, PG_DIRTY | PG_WRITEBACK)) return true;
  const truth = new Truth(k);
  for (let mm = 1; mm < k.mms.segment.used; mm++)
    if (k.mms.isLive(mm) && truth.look(mm, vpn).pfn === pfn && truth.dirty) return true;
  return false;
}

/** What the backing store has of a frame; undefined when it has none. */
function storedOf(k: Kernel, pfn: number): number | undefined {
  const { files, pages, swap } = k;
  if (pages.test(pfn, PG_ANON))
    return pages.test(pfn, PG_SWAPCACHE) && pages.order(pfn) === 0 ? swap.content(pages.private(pfn)) : undefined;
  const inode = pages.mapping(pfn);
  return inode !== 0 && files.kind(inode) === INODE_DISK ? files.stored(inode, pages.pgoff(pfn)) : undefined;
}
