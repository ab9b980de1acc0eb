import { call, type Path, step } from "@mmu-notifier/steps";
import { EBADF, EINVAL, ENOMEM, EOPNOTSUPP, EOVERFLOW } from "../errno.js";
import { FMODE_READ, FMODE_WRITE, INODE_DAX, INODE_DISK, INODE_HUGETLB, INODE_PFNMAP, INODE_SHMEM } from "../file.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import type { Thread } from "../thread.js";
import { doVmiMunmap, nextStart, prevEnd, unmapRegion } from "../unmap/munmap.js";
import {
  VM_ACCOUNT,
  VM_DONTDUMP,
  VM_DONTEXPAND,
  VM_HUGEPAGE,
  VM_HUGETLB,
  VM_IO,
  VM_LOCKED,
  VM_MAYSHARE,
  VM_NORESERVE,
  VM_PFNMAP,
  VM_SHARED,
  VM_SOFTDIRTY,
  VM_SPECIAL,
  VM_WRITE,
} from "../vma.js";
import { lastIndex, vmaLinkFile } from "../vma/file-links.js";
import { vmaMergeNewRange } from "../vma/merge.js";
import { removeVma } from "../vma/remove-vma.js";
import { getUnmappedArea } from "../vma/unmapped-area.js";
import { mmapWriteLock, mmapWriteUnlock } from "../vma/vma-lock.js";
import { reserveHugetlb } from "../hugetlb/reserve.js";
import { decodeVmFlags, encodeVmFlags, requestedVmFlags } from "./mmap-flags.js";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_POPULATE,
  MAP_SYNC,
} from "./mman.js";
import { mmPopulate } from "./populate.js";

/** The arguments of mmap(2). Addresses, length and offset in bytes. */
export interface MmapRequest {
  readonly address: number;
  readonly length: number;
  readonly prot: number;
  readonly flags: number;
  /** Row of an open file; 0 for none, -1 for a descriptor that is not open. */
  readonly file?: number;
  readonly offset?: number;
}

/**
 * mmap(2): a new mapping.
 *
 * @returns its first byte, or -errno
 */
export function sysMmap(k: Kernel, t: Thread, request: MmapRequest): Path<number> {
  return call("mmap", mmap(k, t, request));
}

function* mmap(k: Kernel, t: Thread, request: MmapRequest): Path<number> {
  const { flags, offset = 0, file = 0 } = request;
  if (offset % PAGE_SIZE !== 0) return -EINVAL;
  const anonymous = (flags & MAP_ANONYMOUS) !== 0;
  if (!anonymous && file <= 0) return -EBADF;
  const hugetlbFile = anonymous
    ? 0
    : yield step("is_file_hugepages", () => (k.files.kind(k.files.inode(file)) === INODE_HUGETLB ? 1 : 0));
  if (!anonymous && (flags & MAP_HUGETLB) !== 0 && hugetlbFile === 0) return -EINVAL;
  const hugetlb = hugetlbFile !== 0 || (anonymous && (flags & MAP_HUGETLB) !== 0);
  const unit = hugetlb ? k.tables.hugePages * PAGE_SIZE : PAGE_SIZE;
  const length = hugetlb ? Math.ceil(request.length / unit) * unit : request.length;
  yield* mmapWriteLock(k, t.mm);
  const start = yield* call("do_mmap", doMmap(k, t, { ...request, file: anonymous ? 0 : file, length }, hugetlb));
  // What was asked for counts: hugetlb memory is populated too, though its VMAs are never locked.
  const locked =
    (flags & MAP_LOCKED) !== 0
      ? 1
      : yield step("mm->def_flags & VM_LOCKED", () => ((k.mms.defFlags(t.mm) & VM_LOCKED) !== 0 ? 1 : 0));
  yield* mmapWriteUnlock(k, t.mm);
  if (start < 0) return start;
  const pages = Math.ceil(length / PAGE_SIZE);
  const populate = (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE;
  if (locked !== 0 || populate) yield* mmPopulate(k, t, start, start + pages);
  return start * PAGE_SIZE;
}

function* doMmap(k: Kernel, t: Thread, request: MmapRequest, hugetlb: boolean): Path<number> {
  const { flags, prot, offset = 0, file = 0, length } = request;
  if (length === 0) return -EINVAL;
  const pages = Math.ceil(length / PAGE_SIZE);
  const pgoff = offset / PAGE_SIZE;
  if (!(length > 0) || pages >= 2 ** 52) return -ENOMEM;
  if (pgoff + pages > 2 ** 52) return -EOVERFLOW;
  const start = yield step("get_unmapped_area", () => {
    if (k.vmas.count(k.mms.vmaList(t.mm)) > k.config.maxMapCount) return -ENOMEM;
    return getUnmappedArea(k, t.mm, {
      address: request.address,
      pages,
      fixed: (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0,
      noReplace: (flags & MAP_FIXED_NOREPLACE) !== 0,
      align: hugetlb ? k.tables.hugePages : 1,
      thp: !hugetlb && file === 0 && request.address === 0,
    });
  });
  if (start < 0) return start;
  const vmFlags = yield step("calc_vm_flags", () =>
    encodeVmFlags(requestedVmFlags(k, t.mm, prot, flags, pages, file, pgoff, hugetlb)),
  );
  // hugetlb memory is a file's, and files do not grow downwards.
  if (hugetlb && (flags & MAP_GROWSDOWN) !== 0) return -EINVAL;
  if (vmFlags < 0) return vmFlags;
  const wanted = decodeVmFlags(vmFlags);
  const sync = (flags & MAP_SYNC) !== 0;
  return yield* call("mmap_region", mmapRegion(k, t, start, start + pages, wanted, file, pgoff, hugetlb, sync));
}

/** __vm_enough_memory() with vm.overcommit_memory 0: what is more than all memory and swap together is refused. */
function vmEnoughMemory(k: Kernel, pages: number): boolean {
  return pages <= k.config.memoryPages + (k.swap.enabled ? k.config.swapSlots : 0);
}

/** VM_SOFTDIRTY where the kernel has soft-dirty tracking. */
export function softDirtyFlag(k: Kernel): number {
  return k.config.softDirty && k.arch.softDirty ? VM_SOFTDIRTY : 0;
}

/** mmap_region(): what was there goes, then neighbours grow over the range or a VMA is made. */
function* mmapRegion(
  k: Kernel,
  t: Thread,
  start: number,
  end: number,
  wanted: number,
  file: number,
  pgoff: number,
  hugetlb: boolean,
  sync: boolean,
): Path<number> {
  const accounted = !hugetlb && (wanted & (VM_NORESERVE | VM_SHARED | VM_WRITE)) === VM_WRITE;
  const sharedMemory = file === 0 && !hugetlb && (wanted & (VM_SHARED | VM_NORESERVE)) === VM_SHARED;
  const tooMuch = (accounted || sharedMemory) && !vmEnoughMemory(k, end - start);
  // The file of shared memory is made when what was there is gone, and up to v6.11 nothing is asked before.
  if (tooMuch && accounted && since(k.profile, 6, 12)) return -ENOMEM;
  const unmapped = yield* doVmiMunmap(k, t, start, end);
  if (unmapped < 0) return unmapped;
  if (tooMuch) return -ENOMEM;
  const flags = accounted ? wanted | VM_ACCOUNT : wanted;
  const anonymousPrivate = file === 0 && !hugetlb && (flags & VM_MAYSHARE) === 0;
  const offset = anonymousPrivate ? start : pgoff;
  const kind = file === 0 ? 0 : yield step("file->f_op", () => k.files.kind(k.files.inode(file)));
  // ext4_file_mmap_prepare(): no DAX, no MAP_SYNC. What was there is gone by then.
  if (sync && kind === INODE_DISK) return -EOPNOTSUPP;
  const special = hugetlb
    ? VM_HUGETLB | VM_DONTEXPAND
    : kind === INODE_PFNMAP
      ? VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP
      : // ext4_file_mmap(): DAX asks for huge entries by itself.
        kind === INODE_DAX
        ? VM_HUGEPAGE
        : 0;
  const mergeable = (file !== 0 || anonymousPrivate) && ((flags | special) & VM_SPECIAL) === 0;
  if (mergeable) {
    const range = {
      start,
      end,
      pgoff: offset,
      flags,
      file,
      anonVma: 0,
      policy: 0,
      uffd: 0,
      anonName: 0,
      copiedFrom: 0,
    };
    const merged = yield* vmaMergeNewRange(k, t.cpu, t.mm, range);
    if (merged !== 0) {
      yield* finish(k, t.mm, merged, end - start);
      return start;
    }
  }
  const vma = yield step("__mmap_new_vma", () => newVma(k, t.mm, start, end, flags | special, file, offset, hugetlb));
  if (hugetlb) {
    const error = yield step("hugetlbfs_file_mmap", () => hugetlbfsFileMmap(k, t.mm, vma));
    if (error !== 0) {
      yield* undoFileMmap(k, t, vma, start, end);
      return error;
    }
  }
  yield* finish(k, t.mm, vma, end - start);
  return start;
}

/** A new VMA, in the list unless the file's mmap method has a word in it. Inside a step. */
function newVma(
  k: Kernel,
  mm: number,
  start: number,
  end: number,
  flags: number,
  file: number,
  pgoff: number,
  hugetlb: boolean,
): number {
  const vma = k.vmas.alloc(mm, start, end, flags);
  k.vmas.setRange(vma, start, end, pgoff);
  let backing = file;
  if (file !== 0) k.files.get(file);
  else if (hugetlb || (flags & VM_MAYSHARE) !== 0) {
    const inode = k.files.createInode(hugetlb ? INODE_HUGETLB : INODE_SHMEM, end - start);
    backing = k.files.open(inode, FMODE_READ | FMODE_WRITE);
    // do_mmap() starts the file of shared memory at 0. hugetlb_file_setup() is before it, and an offset counts.
    if (!hugetlb) k.vmas.setRange(vma, start, end, 0);
  }
  k.vmas.setFile(vma, backing);
  vmaLinkFile(k, vma);
  if (!hugetlb) k.vmas.insert(k.mms.vmaList(mm), vma);
  return vma;
}

/** hugetlbfs_file_mmap(): the VMA gets its promise of pages and into the list; 0 or -errno. Inside a step. */
function hugetlbfsFileMmap(k: Kernel, mm: number, vma: number): number {
  const error = k.vmas.pgoff(vma) % k.tables.hugePages === 0 ? reserveHugetlb(k, vma) : -EINVAL;
  if (error !== 0) return error;
  k.vmas.insert(k.mms.vmaList(mm), vma);
  // A writable mapping makes a file that is too short as long as itself.
  const inode = k.files.inode(k.vmas.file(vma));
  if (k.vmas.has(vma, VM_WRITE)) k.files.setSize(inode, Math.max(k.files.size(inode), lastIndex(k, vma)));
  return 0;
}

/** What a file's mmap method mapped before it refused is taken away again: listeners hear of an UNMAP. */
function* undoFileMmap(k: Kernel, t: Thread, vma: number, start: number, end: number): Path {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  const ceiling = yield* nextStart(k, list, end);
  const floor = yield* prevEnd(k, list, start);
  yield* call("unmap_region", unmapRegion(k, t.cpu, t.mm, [vma], start, end, floor, ceiling));
  yield step("fput, vm_area_free", () => {
    removeVma(k, vma);
    return 0;
  });
}

/** The end of mmap_region(): locked memory is counted, the VMA is soft-dirty. */
function* finish(k: Kernel, mm: number, vma: number, pages: number): Path {
  yield step("vm_flags_set(VM_SOFTDIRTY)", () => {
    let flags = k.vmas.flags(vma);
    if ((flags & VM_LOCKED) !== 0) {
      if ((flags & (VM_SPECIAL | VM_HUGETLB)) !== 0) flags &= ~VM_LOCKED;
      else k.mms.addLockedVm(mm, pages);
    }
    k.vmas.setFlags(vma, flags | softDirtyFlag(k));
    return 0;
  });
}
