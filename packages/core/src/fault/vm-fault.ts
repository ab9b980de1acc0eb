import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import type { Pte } from "../pte.js";
import type { Ptep } from "../page-table.js";

/** fault_flag bits, by the kernel's names. */
export const FAULT_FLAG_WRITE = 1 << 0;
/** The handler runs inside a page_mkwrite of its own. */
export const FAULT_FLAG_MKWRITE = 1 << 1;
export const FAULT_FLAG_ALLOW_RETRY = 1 << 2;
export const FAULT_FLAG_RETRY_NOWAIT = 1 << 3;
export const FAULT_FLAG_KILLABLE = 1 << 4;
/** Second attempt. */
export const FAULT_FLAG_TRIED = 1 << 5;
export const FAULT_FLAG_USER = 1 << 6;
/** On behalf of another task (GUP) or a device. */
export const FAULT_FLAG_REMOTE = 1 << 7;
export const FAULT_FLAG_INSTRUCTION = 1 << 8;
export const FAULT_FLAG_INTERRUPTIBLE = 1 << 9;
/** Break sharing without asking for write access. */
export const FAULT_FLAG_UNSHARE = 1 << 10;
/** Only the VMA's own lock is held. */
export const FAULT_FLAG_VMA_LOCK = 1 << 12;

/** What a fault of a user access starts with. */
export const FAULT_FLAG_DEFAULT = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE | FAULT_FLAG_INTERRUPTIBLE;

/** vm_fault_t bits, by the kernel's names. */
export const VM_FAULT_OOM = 1 << 0;
export const VM_FAULT_SIGBUS = 1 << 1;
export const VM_FAULT_MAJOR = 1 << 2;
/** The entry was made writable or the page copied; up to v6.1. */
export const VM_FAULT_WRITE = 1 << 3;
export const VM_FAULT_HWPOISON = 1 << 4;
export const VM_FAULT_HWPOISON_LARGE = 1 << 5;
export const VM_FAULT_SIGSEGV = 1 << 6;
/** The handler installed the entry itself. */
export const VM_FAULT_NOPAGE = 1 << 8;
/** The page comes back locked. */
export const VM_FAULT_LOCKED = 1 << 9;
/** The lock was dropped; take it and try again. */
export const VM_FAULT_RETRY = 1 << 10;
/** Huge fault not possible; go one level down. */
export const VM_FAULT_FALLBACK = 1 << 11;
export const VM_FAULT_DONE_COW = 1 << 12;
/** The lock was dropped and the fault is done. */
export const VM_FAULT_COMPLETED = 1 << 14;

export const VM_FAULT_ERROR =
  VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV | VM_FAULT_HWPOISON | VM_FAULT_HWPOISON_LARGE | VM_FAULT_FALLBACK;

/** VM_FAULT_WRITE in kernels that have it. */
export function faultWrite(k: Kernel): number {
  return since(k.profile, 6, 2) ? 0 : VM_FAULT_WRITE;
}

/**
 * struct vm_fault: what is known about one fault. It belongs to one path; everything in it comes from the path's arguments and
 * step results.
 */
export class VmFault {
  readonly cpu: number;
  readonly mm: number;
  readonly vma: number;
  /** Page that was accessed. */
  readonly vpn: number;
  flags: number;
  /** vma->vm_flags; stable while the caller's lock is held. */
  readonly vmFlags: number;
  /** What backs the VMA: an INODE_ number, or 0 for anonymous memory. */
  readonly kind: number;
  ptep: Ptep = 0;
  /** The entry that the decision is based on; under the PTL it is compared with what is there. */
  origPte: Pte = 0;
  pmdp: Ptep = 0;
  /** What ->fault() found, with a reference. */
  page = 0;

  constructor(cpu: number, mm: number, vma: number, vpn: number, flags: number, vmFlags: number, kind: number) {
    this.cpu = cpu;
    this.mm = mm;
    this.vma = vma;
    this.vpn = vpn;
    this.flags = flags;
    this.vmFlags = vmFlags;
    this.kind = kind;
  }

  get write(): boolean {
    return (this.flags & FAULT_FLAG_WRITE) !== 0;
  }

  get unshare(): boolean {
    return (this.flags & FAULT_FLAG_UNSHARE) !== 0;
  }

  /** FAULT_FLAG_WRITE or FAULT_FLAG_UNSHARE. */
  get breaksSharing(): boolean {
    return (this.flags & (FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE)) !== 0;
  }

  has(flags: number): boolean {
    return (this.vmFlags & flags) !== 0;
  }
}
