import { EEXIST, EINVAL, ENOMEM, EPERM } from "../errno.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { VM_GROWSDOWN } from "../vma.js";
import { taskPages } from "./task-size.js";

/** stack_guard_gap: pages kept free below a stack. */
const STACK_GUARD_GAP = 256;

/** What an address is looked for. */
export interface AddressWish {
  /** Hint or fixed address, in bytes. */
  readonly address: number;
  readonly pages: number;
  readonly fixed: boolean;
  readonly noReplace: boolean;
  /** The first page is a multiple of this. */
  readonly align: number;
  /** Anonymous memory without a hint, which may be mapped by huge entries. Its offset counts as 0, wherever it comes from. */
  readonly thp: boolean;
}

/** vm_start_gap(): where the space that belongs to a VMA begins, its guard gap included. */
function startWithGap(k: Kernel, vma: number): number {
  const start = k.vmas.start(vma);
  return k.vmas.has(vma, VM_GROWSDOWN) ? Math.max(0, start - STACK_GUARD_GAP) : start;
}

/** get_unmapped_area(): the first page for a new mapping, or -errno. Inside a step, mmap_lock held. */
export function getUnmappedArea(k: Kernel, mm: number, wish: AddressWish): number {
  const limit = taskPages(k);
  const { pages } = wish;
  if (pages > limit) return -ENOMEM;
  const list = k.mms.vmaList(mm);
  if (wish.fixed) {
    if (wish.address % PAGE_SIZE !== 0) return -EINVAL;
    const start = wish.address / PAGE_SIZE;
    if (start > limit - pages) return -ENOMEM;
    if (start < k.tables.first) return -ENOMEM;
    if (start % wish.align !== 0) return -EINVAL;
    if (start < k.config.mmapMinPage && !k.config.privileged) return -EPERM;
    return wish.noReplace && k.vmas.findIntersection(list, start, start + pages) !== 0 ? -EEXIST : start;
  }
  // round_hint_to_min() cuts the offset in the page off.
  const hint = Math.ceil(Math.floor(wish.address / PAGE_SIZE) / wish.align) * wish.align;
  if (hint >= lowest(k) && hint <= limit - pages) {
    const next = k.vmas.find(list, hint);
    if (next === 0 || hint + pages <= startWithGap(k, next)) return hint;
  }
  const aligned = thpAligns(k, wish) ? topDown(k, mm, list, pages, k.tables.hugePages) : 0;
  return aligned || topDown(k, mm, list, pages, wish.align) || bottomUp(k, list, pages, wish.align, limit) || -ENOMEM;
}

/** thp_get_unmapped_area(): anonymous memory of whole huge pages may be mapped by huge entries, since v6.7 and v6.13's length check. */
function thpAligns(k: Kernel, { pages, thp }: AddressWish): boolean {
  return thp && since(k.profile, 6, 7) && pages % k.tables.hugePages === 0;
}

/** The first page that the kernel hands out by itself. */
function lowest(k: Kernel): number {
  return Math.max(1, k.config.mmapMinPage, k.tables.first);
}

/** vm_unmapped_area() from mmap_base downwards: the first page is a multiple of `align`. 0 when nothing fits. */
function topDown(k: Kernel, mm: number, list: number, pages: number, align: number): number {
  let high = k.mms.mmapBase(mm);
  for (let index = k.vmas.indexAbove(list, high - 1); ; index--) {
    const below = index === 0 ? 0 : k.vmas.at(list, index - 1);
    const above = k.vmas.at(list, index);
    if (above !== 0) high = Math.min(high, startWithGap(k, above));
    const low = below === 0 ? lowest(k) : k.vmas.end(below);
    const start = Math.floor((high - pages) / align) * align;
    if (start >= low) return start;
    if (below === 0) return 0;
    high = k.vmas.start(below);
  }
}

/** The fall-back: from TASK_UNMAPPED_BASE upwards. */
function bottomUp(k: Kernel, list: number, pages: number, align: number, limit: number): number {
  let low = k.tables.first + Math.floor((limit - k.tables.first) / 3);
  for (let index = k.vmas.indexAbove(list, low); ; index++) {
    const above = k.vmas.at(list, index);
    const start = Math.ceil(low / align) * align;
    if (start + pages <= (above === 0 ? limit : startWithGap(k, above))) return start;
    if (above === 0) return 0;
    low = k.vmas.end(above);
  }
}
