import { call, type Path, step } from "@mmu-notifier/steps";
import { EBADF, EINVAL, EOPNOTSUPP } from "../errno.js";
import { FMODE_WRITE, INODE_DAX, INODE_DISK, INODE_HUGETLB, INODE_SHMEM } from "../file.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { removeHugetlbPages, truncatePagecache, truncatePagecacheRange } from "./truncate.js";
import { vfsFsyncRange } from "./writeback.js";

/** FALLOC_FL_ bits, with Linux's values. */
export const FALLOC_FL_KEEP_SIZE = 0x01;
export const FALLOC_FL_PUNCH_HOLE = 0x02;
export const FALLOC_FL_COLLAPSE_RANGE = 0x08;
export const FALLOC_FL_ZERO_RANGE = 0x10;

/** fallocate(2): punches a hole, zeroes or takes out a range. Bytes. Returns 0 or -errno. */
export function sysFallocate(
  k: Kernel,
  t: Thread,
  file: number,
  mode: number,
  offset: number,
  length: number,
): Path<number> {
  return call("fallocate", fallocate(k, t, file, mode, offset, length));
}

function* fallocate(k: Kernel, t: Thread, file: number, mode: number, offset: number, length: number): Path<number> {
  if (file <= 0) return -EBADF;
  if (offset < 0 || length <= 0) return -EINVAL;
  const writable = yield step("f_mode & FMODE_WRITE", () => ((k.files.mode(file) & FMODE_WRITE) !== 0 ? 1 : 0));
  if (writable === 0) return -EBADF;
  const inode = yield step("file_inode", () => k.files.inode(file));
  return yield* vfsFallocate(k, t, inode, mode, offset / PAGE_SIZE, (offset + length) / PAGE_SIZE);
}

/**
 * vfs_fallocate() of pages [first, end) of an inode, which MADV_REMOVE calls with {@link FALLOC_FL_PUNCH_HOLE}. Parts of pages
 * at the borders only get zeroed.
 *
 * @returns 0 or -errno
 */
function* vfsFallocate(k: Kernel, t: Thread, inode: number, mode: number, first: number, end: number): Path<number> {
  const kind = yield step("f_op->fallocate", () => k.files.kind(inode));
  if (!supports(kind, mode)) return -EOPNOTSUPP;
  const low = Math.ceil(first);
  const high = Math.floor(end);
  if ((mode & FALLOC_FL_COLLAPSE_RANGE) !== 0) return yield* collapseRange(k, t, inode, first, end);
  if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) === 0) return yield* preallocate(k, inode, high);
  if (kind === INODE_HUGETLB) {
    const span = k.tables.hugePages;
    const from = Math.ceil(low / span) * span;
    const to = high - (high % span);
    if (to > from) yield* removeHugetlbPages(k, t.cpu, inode, from, to);
    return 0;
  }
  const punches = (mode & FALLOC_FL_PUNCH_HOLE) !== 0;
  const size = yield step("i_size_read", () => k.files.size(inode));
  if (punches && kind === INODE_DISK) {
    if (k.profile.punchHoleWritesBack) yield* vfsFsyncRange(k, t, inode, first, end);
    if (low >= size) return 0;
  }
  yield* truncatePagecacheRange(k, t.cpu, inode, low, punches && kind === INODE_DISK ? Math.min(high, size) : high);
  return 0;
}

/** What MADV_REMOVE asks of the file: pages [first, end) become a hole, the size stays. 0 or -errno. */
export function vfsFallocatePunch(k: Kernel, t: Thread, inode: number, first: number, end: number): Path<number> {
  return call("vfs_fallocate", vfsFallocate(k, t, inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first, end));
}

function supports(kind: number, mode: number): boolean {
  switch (kind) {
    case INODE_DISK:
    case INODE_DAX:
      return true;
    case INODE_SHMEM:
    case INODE_HUGETLB:
      return (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) === 0;
    default:
      return false;
  }
}

function* preallocate(k: Kernel, inode: number, end: number): Path<number> {
  return yield step("i_size_write", () => {
    if (end > k.files.size(inode)) k.files.setSize(inode, end);
    return 0;
  });
}

/** ext4_collapse_range(): what follows the range moves down; everything from the range on leaves the mappings. */
function* collapseRange(k: Kernel, t: Thread, inode: number, first: number, end: number): Path<number> {
  const size = yield step("i_size_read", () => k.files.size(inode));
  if (first !== Math.floor(first) || end !== Math.floor(end) || end >= size) return -EINVAL;
  // filemap_write_and_wait_range() of the byte before the range includes its first page; the rest of it is not written any more.
  yield* vfsFsyncRange(k, t, inode, first, first + 1);
  yield* vfsFsyncRange(k, t, inode, end, Infinity);
  const moved = yield step("ext4_ext_shift_extents: read", () => k.files.storedLength(inode));
  const kept: number[] = [];
  for (let index = end; index < moved; index++) {
    const here = index;
    kept.push(yield step("ext4_ext_shift_extents: extent", () => k.files.stored(inode, here)));
  }
  yield* truncatePagecache(k, t.cpu, inode, first);
  return yield step("ext4_ext_shift_extents", () => {
    for (let i = 0; i < kept.length; i++) k.files.setStored(inode, first + i, kept[i]!);
    k.files.setSize(inode, size - (end - first));
    return 0;
  });
}
