import { call, type Path, step, upRead } from "@mmu-notifier/steps";
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM } from "../errno.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from "../syscalls/mman.js";
import { mlockFutureOk } from "../syscalls/mmap-flags.js";
import { mmPopulate } from "../syscalls/populate.js";
import type { Thread } from "../thread.js";
import { doVmiMunmap } from "../unmap/munmap.js";
import { VM_DONTEXPAND, VM_HUGETLB, VM_LOCKED, VM_MAYSHARE, VM_PFNMAP, VM_SEALED, VM_SHARED } from "../vma.js";
import { vmaMergeNewRange } from "../vma/merge.js";
import { vmaShape } from "../vma/modify.js";
import { taskPages } from "../vma/task-size.js";
import { getUnmappedArea } from "../vma/unmapped-area.js";
import { mmapWriteLock, mmapWriteUnlock } from "../vma/vma-lock.js";
import { moveVma } from "./move-vma.js";

/** Pages; what one VMA's remapping is about. */
interface Remap {
  readonly start: number;
  readonly oldPages: number;
  readonly newPages: number;
  readonly flags: number;
  /** Wanted place with MREMAP_FIXED. */
  readonly to: number;
}

/** Added to a result: mmap_lock is held for reading only. */
const DOWNGRADED = 2 ** 51;
/** Added to a result: the pages that were gained are locked and to be faulted in. */
const POPULATE = 2 ** 50;

/**
 * mremap(2), in bytes: shrinks, grows or moves a mapping.
 *
 * @param newAddress for MREMAP_FIXED
 * @returns first byte of the mapping, or -errno
 */
export function sysMremap(
  k: Kernel,
  t: Thread,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  newAddress = 0,
): Path<number> {
  return call("mremap", mremap(k, t, address, oldLength, newLength, flags, newAddress));
}

function* mremap(
  k: Kernel,
  t: Thread,
  address: number,
  oldLength: number,
  newLength: number,
  flags: number,
  newAddress: number,
): Path<number> {
  const oldPages = Math.ceil(oldLength / PAGE_SIZE);
  const newPages = Math.ceil(newLength / PAGE_SIZE);
  const places = (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0;
  if (
    (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0 ||
    address % PAGE_SIZE !== 0 ||
    newPages === 0
  )
    return -EINVAL;
  if (places && (flags & MREMAP_MAYMOVE) === 0) return -EINVAL;
  if ((flags & MREMAP_DONTUNMAP) !== 0 && oldPages !== newPages) return -EINVAL;
  const remap: Remap = { start: address / PAGE_SIZE, oldPages, newPages, flags, to: newAddress / PAGE_SIZE };
  if (since(k.profile, 6, 16)) {
    const wrong = wrongPlace(k, remap, newAddress);
    if (wrong !== 0) return wrong;
  }
  yield* mmapWriteLock(k, t.mm);
  const result = yield* remapLocked(k, t, remap, newAddress, places);
  if (result >= DOWNGRADED) yield upRead(k.mms.mmapLock(t.mm));
  else yield* mmapWriteUnlock(k, t.mm);
  if (result < 0) return result;
  const start = result % POPULATE;
  if (result % DOWNGRADED >= POPULATE) yield* mmPopulate(k, t, start + oldPages, start + newPages);
  return start * PAGE_SIZE;
}

/** What check_mremap_params() finds wrong with the new place. */
function wrongPlace(k: Kernel, { start, oldPages, newPages, flags, to }: Remap, newAddress: number): number {
  const limit = taskPages(k);
  if (newPages > limit) return -EINVAL;
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) === 0) return 0;
  if (to > limit - newPages || newAddress % PAGE_SIZE !== 0) return -EINVAL;
  return start < to + newPages && to < start + oldPages ? -EINVAL : 0;
}

function* remapLocked(k: Kernel, t: Thread, remap: Remap, newAddress: number, places: boolean): Path<number> {
  const { flags, oldPages, newPages } = remap;
  const full = places
    ? yield step("map_count", () => (k.vmas.count(k.mms.vmaList(t.mm)) + 2 >= k.config.maxMapCount - 3 ? -ENOMEM : 0))
    : 0;
  if (since(k.profile, 6, 17) && full === 0 && (flags & MREMAP_FIXED) !== 0 && oldPages === newPages)
    return yield* remapMove(k, t, remap);
  const vma = yield step("vma_lookup", () => k.vmas.lookup(k.mms.vmaList(t.mm), remap.start));
  if (!since(k.profile, 6, 16)) return yield* remapOld(k, t, vma, remap, newAddress, places, full);
  if (full !== 0) return full;
  const aligned = yield* alignHugetlb(k, vma, remap);
  if (typeof aligned === "number") return aligned;
  const error = yield step("check_prep_vma", () => checkVma(k, t.mm, vma, aligned, places));
  if (error !== 0) return error;
  return places ? yield* mremapTo(k, t, aligned) : yield* mremapAt(k, t, vma, aligned);
}

/** remap_move(): since v6.17 a move to a fixed place may take several VMAs along, with the gaps between them. */
function* remapMove(k: Kernel, t: Thread, remap: Remap): Path<number> {
  const { start, oldPages, flags } = remap;
  const end = start + oldPages;
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  let result = -EFAULT;
  let target = remap.to;
  let lastEnd = -1;
  for (let at = start; at < end;) {
    const here = at;
    const vma = yield step("for_each_vma_range", () => k.vmas.findIntersection(list, here, end));
    if (vma === 0) break;
    const vmaStart = yield step("vma->vm_start", () => k.vmas.start(vma));
    const vmaEnd = yield step("vma->vm_end", () => k.vmas.end(vma));
    const seen = lastEnd >= 0;
    if (!seen && start < vmaStart) return -EFAULT;
    const from = Math.max(start, vmaStart);
    const pages = Math.min(end, vmaEnd) - from;
    const armed = yield step("vma_multi_allowed", () => (k.vmas.uffd(vma) !== 0 ? 1 : 0));
    if (armed !== 0 && (seen || vmaEnd < end)) return -EFAULT;
    const to = target + (seen ? vmaStart - lastEnd : 0);
    lastEnd = vmaEnd;
    const one = yield* alignHugetlb(k, vma, { start: from, oldPages: pages, newPages: pages, flags, to });
    if (typeof one === "number") return one;
    const error = yield step("check_prep_vma", () => checkVma(k, t.mm, vma, one, true));
    if (error !== 0) return error;
    const moved = yield* mremapTo(k, t, one);
    if (moved < 0) return moved;
    if (!seen) result = moved;
    target = moved + one.newPages;
    at = vmaEnd;
  }
  return result;
}

/** align_hugetlb(): whole huge pages, no growth; the remap with rounded lengths, or -errno. */
function* alignHugetlb(k: Kernel, vma: number, remap: Remap): Path<Remap | number> {
  if (vma === 0) return -EFAULT;
  const flags = yield step("is_vm_hugetlb_page", () =>
    k.vmas.has(vma, VM_SEALED) ? -EPERM : k.vmas.has(vma, VM_HUGETLB) ? 1 : 0,
  );
  if (flags < 0) return flags;
  if (flags === 0) return remap;
  const span = k.tables.hugePages;
  const oldPages = Math.ceil(remap.oldPages / span) * span;
  const newPages = Math.ceil(remap.newPages / span) * span;
  if (remap.start % span !== 0 || remap.to % span !== 0 || newPages > oldPages) return -EINVAL;
  return { ...remap, oldPages, newPages };
}

/** The rest of check_prep_vma(), vma_to_resize(). Inside a step. */
function checkVma(
  k: Kernel,
  mm: number,
  vma: number,
  { start, oldPages, newPages, flags }: Remap,
  places: boolean,
): number {
  if (!places && newPages <= oldPages) return 0;
  const vm = k.vmas.flags(vma);
  if (oldPages === 0 && (vm & (VM_SHARED | VM_MAYSHARE)) === 0) return -EINVAL;
  if ((flags & MREMAP_DONTUNMAP) !== 0 && dontUnmapRefused(k, vma)) return -EINVAL;
  const kept = Math.min(oldPages, newPages);
  if (kept > k.vmas.end(vma) - start) return -EFAULT;
  if (newPages === kept) return 0;
  if ((vm & (VM_DONTEXPAND | VM_PFNMAP)) !== 0) return -EFAULT;
  return (vm & VM_LOCKED) !== 0 && !mlockFutureOk(k, mm, newPages - kept) ? -EAGAIN : 0;
}

/** MREMAP_DONTUNMAP was for private anonymous memory only up to v5.12. */
function dontUnmapRefused(k: Kernel, vma: number): boolean {
  if (!since(k.profile, 5, 13)) return k.vmas.file(vma) !== 0 || k.vmas.has(vma, VM_SHARED);
  return k.vmas.has(vma, VM_DONTEXPAND | VM_PFNMAP);
}

/** mremap_to(): to a fixed place, or with MREMAP_DONTUNMAP to any. First page there, or -errno. */
function* mremapTo(k: Kernel, t: Thread, remap: Remap): Path<number> {
  const { start, oldPages, newPages, flags, to } = remap;
  if ((flags & MREMAP_FIXED) !== 0) {
    const error = yield* doVmiMunmap(k, t, to, to + newPages);
    if (error < 0) return error;
  }
  let moved = oldPages;
  if (oldPages > newPages) {
    const error = yield* doVmiMunmap(k, t, start + newPages, start + oldPages);
    if (error < 0) return error;
    moved = newPages;
  }
  const vma = yield step("vma_lookup", () => k.vmas.lookup(k.mms.vmaList(t.mm), start));
  if (vma === 0) return -EFAULT;
  return yield* movePopulated(k, t, vma, { ...remap, oldPages: moved });
}

/** {@link moveTo}, and whether locked pages were gained. */
function* movePopulated(k: Kernel, t: Thread, vma: number, remap: Remap): Path<number> {
  const locked =
    remap.newPages > remap.oldPages ? yield step("VM_LOCKED", () => (k.vmas.has(vma, VM_LOCKED) ? 1 : 0)) : 0;
  const moved = yield* moveTo(k, t, vma, remap);
  return moved < 0 ? moved : moved + (locked !== 0 ? POPULATE : 0);
}

/** vrm_set_new_addr() and move_vma(). */
function* moveTo(k: Kernel, t: Thread, vma: number, { start, oldPages, newPages, flags, to }: Remap): Path<number> {
  const place = yield step("get_unmapped_area", () =>
    getUnmappedArea(k, t.mm, {
      address: (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0 ? to * PAGE_SIZE : 0,
      pages: newPages,
      fixed: (flags & MREMAP_FIXED) !== 0,
      noReplace: false,
      align: k.vmas.has(vma, VM_HUGETLB) ? k.tables.hugePages : 1,
      thp: k.vmas.file(vma) === 0 && to === 0,
    }),
  );
  if (place < 0) return place;
  return yield* moveVma(k, t, vma, start, oldPages, newPages, place, (flags & MREMAP_DONTUNMAP) !== 0);
}

/** mremap_at(): nothing, less, or more, if possible in place. */
function* mremapAt(k: Kernel, t: Thread, vma: number, remap: Remap): Path<number> {
  const { start, oldPages, newPages, flags } = remap;
  if (newPages === oldPages) return start;
  if (newPages < oldPages) {
    const shrunk = yield* doVmiMunmap(k, t, start + newPages, start + oldPages, true);
    return shrunk < 0 ? shrunk : start + (shrunk > 0 ? DOWNGRADED : 0);
  }
  const locked = yield step("VM_LOCKED", () => (k.vmas.has(vma, VM_LOCKED) ? 1 : 0));
  const grown = yield* expandInPlace(k, t, vma, remap, locked !== 0);
  if (grown !== 0) return grown < 0 ? grown : start + (locked !== 0 ? POPULATE : 0);
  if ((flags & MREMAP_MAYMOVE) === 0) return -ENOMEM;
  return yield* movePopulated(k, t, vma, remap);
}

/** expand_vma_in_place(): 1 when the VMA, and maybe the one after it, took the pages in, 0 when there is no room. */
function* expandInPlace(
  k: Kernel,
  t: Thread,
  vma: number,
  { start, oldPages, newPages }: Remap,
  locked: boolean,
): Path<number> {
  const end = start + newPages;
  const free = yield step("vma_expandable", () => {
    if (k.vmas.end(vma) !== start + oldPages || end > taskPages(k)) return 0;
    return k.vmas.findIntersection(k.mms.vmaList(t.mm), start + oldPages, end) === 0 ? 1 : 0;
  });
  if (free === 0) return 0;
  const shape = yield* vmaShape(k, vma);
  const file = yield step("vma->vm_file", () => k.vmas.file(vma));
  const anonVma = yield step("vma->anon_vma", () => k.vmas.anonVma(vma));
  const pgoff = yield step("linear_page_index", () => k.vmas.linearIndex(vma, start + oldPages));
  const range = { ...shape, start: start + oldPages, end, pgoff, file, anonVma, copiedFrom: 0 };
  const merged = yield* vmaMergeNewRange(k, t.cpu, t.mm, range);
  if (merged === 0) return -ENOMEM;
  if (locked) {
    yield step("locked_vm", () => {
      k.mms.addLockedVm(t.mm, newPages - oldPages);
      return 0;
    });
  }
  return 1;
}

/** The order of checks up to v6.15: what must be unmapped goes before the VMA is looked at closely. */
function* remapOld(
  k: Kernel,
  t: Thread,
  vma: number,
  remap: Remap,
  newAddress: number,
  places: boolean,
  full: number,
): Path<number> {
  const aligned = yield* alignHugetlb(k, vma, remap);
  if (typeof aligned === "number") return aligned;
  const { start, oldPages, newPages } = aligned;
  if (!places) {
    const error = yield step("vma_to_resize", () => checkVma(k, t.mm, vma, aligned, false));
    return error !== 0 ? error : yield* mremapAt(k, t, vma, aligned);
  }
  const wrong = wrongPlace(k, aligned, newAddress);
  if (wrong !== 0) return wrong;
  if (full !== 0) return full;
  const { to, flags } = aligned;
  if ((flags & MREMAP_FIXED) !== 0) {
    const error = yield* doVmiMunmap(k, t, to, to + newPages);
    if (error < 0) return error;
  }
  if (oldPages > newPages) {
    const error = yield* doVmiMunmap(k, t, start + newPages, start + oldPages);
    if (error < 0) return error;
  }
  const rest: Remap = { ...aligned, oldPages: Math.min(oldPages, newPages) };
  const source = yield step("vma_lookup", () => k.vmas.lookup(k.mms.vmaList(t.mm), start));
  if (source === 0) return -EFAULT;
  const error = yield step("vma_to_resize", () => checkVma(k, t.mm, source, rest, true));
  return error !== 0 ? error : yield* movePopulated(k, t, source, rest);
}
