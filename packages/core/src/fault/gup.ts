import { type Path, step } from "@mmu-notifier/steps";
import { EFAULT } from "../errno.js";
import type { Kernel } from "../kernel.js";

/** How a page is asked for. */
export interface GupFlags {
  readonly write?: boolean;
  readonly force?: boolean;
}

/** get_user_pages() of one page: its frame, or -errno. mmap_lock held for reading. */
export function* getUserPages(k: Kernel, _cpu: number, mm: number, vpn: number, _flags: GupFlags): Path<number> {
  return yield step("get_user_pages", () => (k.tables.leaf(k.mms.pgd(mm), vpn) === 0 ? -EFAULT : 1));
}
