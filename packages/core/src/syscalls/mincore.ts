import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { EINVAL, ENOMEM } from "../errno.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { isMigrationEntry, isPteMarker, isSwapPte, pteNone, ptePresent, SWP_SWAP, swpOffset, swpType } from "../pte.js";
import type { Thread } from "../thread.js";

/**
 * mincore(2), in bytes: which pages could be touched without reading from a disk.
 *
 * @param resident gets a 1 or 0 for each page
 * @returns 0 or -errno
 */
export function sysMincore(k: Kernel, t: Thread, start: number, length: number, resident: number[]): Path<number> {
  return call("mincore", mincore(k, t, start, length, resident));
}

function* mincore(k: Kernel, t: Thread, startBytes: number, length: number, resident: number[]): Path<number> {
  if (startBytes % PAGE_SIZE !== 0) return -EINVAL;
  const start = startBytes / PAGE_SIZE;
  const end = start + Math.ceil(length / PAGE_SIZE);
  if (!(length >= 0) || end > k.tables.pages) return -ENOMEM;
  yield downRead(k.mms.mmapLock(t.mm));
  let error = 0;
  for (let vpn = start; vpn < end && error === 0; vpn++) {
    const page = yield step("mincore_pte_range", () => isResident(k, t.mm, vpn));
    if (page < 0) error = page;
    else resident.push(page);
  }
  yield upRead(k.mms.mmapLock(t.mm));
  return error;
}

function isResident(k: Kernel, mm: number, vpn: number): number {
  const vma = k.vmas.lookup(k.mms.vmaList(mm), vpn);
  if (vma === 0) return -ENOMEM;
  const leaf = k.tables.leaf(k.mms.pgd(mm), vpn);
  const pte = leaf === 0 ? 0 : k.tables.get(leaf);
  if (ptePresent(pte) || isMigrationEntry(pte)) return 1;
  if (isSwapPte(pte) && !isPteMarker(pte))
    return swpType(pte) === SWP_SWAP && k.swap.cached(swpOffset(pte)) !== 0 ? 1 : 0;
  const file = k.vmas.file(vma);
  if (!(pteNone(pte) || isPteMarker(pte)) || file === 0) return 0;
  const entry = k.files.cached(k.files.inode(file), k.vmas.linearIndex(vma, vpn));
  return entry > 0 || (entry < 0 && k.swap.cached(-entry) !== 0) ? 1 : 0;
}
