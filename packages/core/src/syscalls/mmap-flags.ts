import { EACCES, EAGAIN, EINVAL, ENODEV, EOPNOTSUPP, EOVERFLOW, EPERM } from "../errno.js";
import { FMODE_APPEND, FMODE_READ, FMODE_WRITE, INODE_DAX, INODE_DISK } from "../file.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import {
  VM_EXEC,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from "../vma.js";
import {
  MAP_ANONYMOUS,
  MAP_DENYWRITE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_STACK,
  MAP_SYNC,
  MAP_TYPE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "./mman.js";

/** Flags that MAP_SHARED_VALIDATE accepts for every file. */
const LEGACY_MAP_MASK =
  MAP_SHARED |
  MAP_PRIVATE |
  MAP_FIXED |
  MAP_ANONYMOUS |
  MAP_DENYWRITE |
  0x1000 |
  MAP_GROWSDOWN |
  MAP_LOCKED |
  MAP_NORESERVE |
  MAP_POPULATE |
  MAP_NONBLOCK |
  MAP_STACK |
  MAP_HUGETLB;

/** file_mmap_ok(): MAX_LFS_FILESIZE, rounded up, in pages. */
const MAX_FILE_PAGES = 2 ** 51;

/** vm_flags or -errno as the result of a step: flags use all 32 bits. */
export const encodeVmFlags = (flagsOrError: { readonly flags: number; readonly error: number }): number =>
  flagsOrError.error !== 0 ? -flagsOrError.error : flagsOrError.flags >>> 0;
/** The vm_flags of {@link encodeVmFlags}, which are no error. */
export const decodeVmFlags = (encoded: number): number => encoded | 0;

const refuse = (error: number) => ({ flags: 0, error });

/** The part of do_mmap() that checks rights and makes vm_flags of prot and flags. Inside a step. */
export function requestedVmFlags(
  k: Kernel,
  mm: number,
  prot: number,
  flags: number,
  pages: number,
  file: number,
  pgoff: number,
  hugetlb: boolean,
): { flags: number; error: number } {
  let vm = k.mms.defFlags(mm) | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
  if ((prot & PROT_READ) !== 0) vm |= VM_READ;
  if ((prot & PROT_WRITE) !== 0) vm |= VM_WRITE;
  if ((prot & PROT_EXEC) !== 0) vm |= VM_EXEC;
  if ((flags & MAP_GROWSDOWN) !== 0) vm |= VM_GROWSDOWN;
  if ((flags & MAP_STACK) !== 0 && since(k.profile, 6, 7)) vm |= VM_NOHUGEPAGE;
  if ((flags & MAP_LOCKED) !== 0) {
    if (k.config.memlockLimit === 0 && !k.config.privileged) return refuse(EPERM);
    vm |= VM_LOCKED;
  }
  if ((vm & VM_LOCKED) !== 0 && !mlockFutureOk(k, mm, pages)) return refuse(EAGAIN);
  // Private memory of hugetlb pages has a file too.
  if ((file !== 0 || hugetlb) && pgoff >= MAX_FILE_PAGES - pages) return refuse(EOVERFLOW);
  const type = flags & MAP_TYPE;
  const shared = type === MAP_SHARED || type === MAP_SHARED_VALIDATE;
  if (file === 0) {
    if (type !== MAP_SHARED && type !== MAP_PRIVATE) return refuse(EINVAL);
    if (shared && (vm & VM_GROWSDOWN) !== 0) return refuse(EINVAL);
    if (shared) vm |= VM_SHARED | VM_MAYSHARE;
  } else {
    if (!shared && type !== MAP_PRIVATE) return refuse(EINVAL);
    const known = LEGACY_MAP_MASK | MAP_FIXED_NOREPLACE | (knowsSync(k, file) ? MAP_SYNC : 0);
    if (type === MAP_SHARED_VALIDATE && (flags & ~known) !== 0) return refuse(EOPNOTSUPP);
    const mode = k.files.mode(file);
    if (shared && (prot & PROT_WRITE) !== 0 && (mode & FMODE_WRITE) === 0) return refuse(EACCES);
    if (shared && (mode & FMODE_APPEND) !== 0 && (mode & FMODE_WRITE) !== 0) return refuse(EACCES);
    if (shared) vm |= VM_SHARED | VM_MAYSHARE;
    if (shared && (mode & FMODE_WRITE) === 0) vm &= ~(VM_MAYWRITE | VM_SHARED);
    if ((mode & FMODE_READ) === 0) return refuse(EACCES);
    if (k.files.kind(k.files.inode(file)) === 0) return refuse(ENODEV);
    if ((vm & VM_GROWSDOWN) !== 0) return refuse(EINVAL);
  }
  if ((flags & MAP_NORESERVE) !== 0) vm |= VM_NORESERVE;
  return { flags: vm, error: 0 };
}

/** FOP_MMAP_SYNC: the file system has files that MAP_SYNC is for. Inside a step. */
function knowsSync(k: Kernel, file: number): boolean {
  const kind = k.files.kind(k.files.inode(file));
  return kind === INODE_DISK || kind === INODE_DAX;
}

/** mlock_future_ok(): the limit on locked memory allows `pages` more. Inside a step. */
export function mlockFutureOk(k: Kernel, mm: number, pages: number): boolean {
  if (k.config.memlockLimit < 0 || k.config.privileged) return true;
  return k.mms.lockedVm(mm) + pages <= k.config.memlockLimit;
}
