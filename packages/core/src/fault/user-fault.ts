import { call, downRead, downReadTrylock, inline, type Path, step, upRead } from "@mmu-notifier/steps";
import { EFAULT } from "../errno.js";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { VM_ACCESS_FLAGS, VM_EXEC, VM_UFFD_MINOR, VM_UFFD_MISSING, VM_UFFD_WP, VM_WRITE } from "../vma.js";
import { type Access, cpuAccess } from "./cpu-access.js";
import { findExtendVma } from "./expand-stack.js";
import { handleMmFault } from "./handle-mm-fault.js";
import {
  FAULT_FLAG_DEFAULT,
  FAULT_FLAG_INSTRUCTION,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_USER,
  FAULT_FLAG_VMA_LOCK,
  FAULT_FLAG_WRITE,
  VM_FAULT_COMPLETED,
  VM_FAULT_ERROR,
  VM_FAULT_HWPOISON,
  VM_FAULT_HWPOISON_LARGE,
  VM_FAULT_MAJOR,
  VM_FAULT_OOM,
  VM_FAULT_RETRY,
  VM_FAULT_SIGBUS,
} from "./vm-fault.js";

export const SIGBUS = 7;
export const SIGKILL = 9;
export const SIGSEGV = 11;
export const SEGV_MAPERR = 1;
export const SEGV_ACCERR = 2;
export const BUS_ADRERR = 2;
export const BUS_MCEERR_AR = 4;

/** A signal that an access ends in. */
export interface FaultSignal {
  /** Signal number: {@link SIGSEGV}, {@link SIGBUS}, {@link SIGKILL}. */
  readonly signal: number;
  /** si_code. */
  readonly code: number;
}

const SIGNAL_BASE = 1000;

function encodeSignal(signal: number, code: number): number {
  return -(SIGNAL_BASE + signal * 16 + code);
}

/** What a negative result of {@link userAccess} stands for; undefined for a result that is no signal. */
export function decodeSignal(result: number): FaultSignal | undefined {
  if (result > -SIGNAL_BASE) return undefined;
  const packed = -result - SIGNAL_BASE;
  return { signal: Math.floor(packed / 16), code: packed % 16 };
}

/**
 * One user-mode access, with as many page faults as it takes.
 *
 * @param vpn page
 * @param value the byte that a write stores
 * @returns the byte of the page, or a signal for {@link decodeSignal}
 */
export function* userAccess(k: Kernel, t: Thread, vpn: number, access: Access, value = 0): Path<number> {
  for (;;) {
    const result = yield cpuAccess(k, t.cpu, t.mm, vpn, access, value, true);
    if (result >= 0) return result;
    const signal = yield* call("do_user_addr_fault", userAddrFault(k, t, vpn, access, true));
    if (signal !== 0) return signal;
  }
}

/** Result of {@link userAccessOnce}: the fault was handled, and the instruction is executed again. */
export const USER_ACCESS_RETRY = -1;

/**
 * One attempt of a {@link userAccess}: the instruction, and if it faults one page fault. Nothing is remembered from earlier
 * attempts, so it is the body of a loop for whoever has to see whether it ends.
 *
 * @returns as {@link userAccess}, or {@link USER_ACCESS_RETRY}
 */
export function* userAccessOnce(k: Kernel, t: Thread, vpn: number, access: Access, value = 0): Path<number> {
  const result = yield cpuAccess(k, t.cpu, t.mm, vpn, access, value, true);
  if (result >= 0) return result;
  const signal = yield* call("do_user_addr_fault", userAddrFault(k, t, vpn, access, true));
  return signal !== 0 ? signal : USER_ACCESS_RETRY;
}

/**
 * copy_from_user() or copy_to_user() of one byte: the same access by the kernel.
 *
 * @returns the byte of the page, or -EFAULT
 */
export function* kernelAccess(k: Kernel, t: Thread, vpn: number, access: "read" | "write", value = 0): Path<number> {
  for (;;) {
    const result = yield cpuAccess(k, t.cpu, t.mm, vpn, access, value, false);
    if (result >= 0) return result;
    const signal = yield* call("do_user_addr_fault", userAddrFault(k, t, vpn, access, false));
    if (signal !== 0) return -EFAULT;
  }
}

/** do_user_addr_fault(): 0 when the access may be tried again, else a signal. */
function* userAddrFault(k: Kernel, t: Thread, vpn: number, access: Access, user: boolean): Path<number> {
  let flags = FAULT_FLAG_DEFAULT | (user ? FAULT_FLAG_USER : 0) | accessFlag(access);
  if (user && k.profile.perVmaLock !== "no") {
    const result = yield* inline(vmaLockFault(k, t, vpn, access, flags));
    if (result !== FALL_BACK && (result & VM_FAULT_RETRY) === 0) return result < 0 ? result : signalOf(result);
    if (result !== FALL_BACK && (result & VM_FAULT_MAJOR) !== 0) flags |= FAULT_FLAG_TRIED;
  }
  const lock = k.mms.mmapLock(t.mm);
  for (;;) {
    yield downRead(lock);
    const vma = yield* findExtendVma(k, t.cpu, t.mm, vpn);
    const error = vma === 0 ? encodeSignal(SIGSEGV, SEGV_MAPERR) : yield checkAccess(k, vma, access);
    if (error !== 0) {
      yield upRead(lock);
      return error;
    }
    const result = yield* handleMmFault(k, t.cpu, vma, vpn, flags);
    if ((result & VM_FAULT_COMPLETED) !== 0) return 0;
    if ((result & VM_FAULT_RETRY) !== 0) {
      flags |= FAULT_FLAG_TRIED;
      continue;
    }
    yield upRead(lock);
    return signalOf(result);
  }
}

const FALL_BACK = 2 ** 31;

/** The attempt under the VMA's own lock: VM_FAULT_ bits, a signal (negative), or {@link FALL_BACK}. */
function* vmaLockFault(k: Kernel, t: Thread, vpn: number, access: Access, flags: number): Path<number> {
  const vma = yield step("lock_vma_under_rcu", () => {
    const found = k.vmas.lookup(k.mms.vmaList(t.mm), vpn);
    return found === 0 || !lockable(k, found) ? 0 : found;
  });
  if (vma === 0) return FALL_BACK;
  if ((yield downReadTrylock(k.vmas.lock(vma))) === 0) return FALL_BACK;
  const error = yield step("vma_start_read: recheck", () => {
    if (k.vmas.lookup(k.mms.vmaList(t.mm), vpn) !== vma || !lockable(k, vma)) return FALL_BACK;
    return accessError(k, vma, access);
  });
  if (error !== 0) {
    yield upRead(k.vmas.lock(vma));
    return error;
  }
  const result = yield* inline(handleMmFault(k, t.cpu, vma, vpn, flags | FAULT_FLAG_VMA_LOCK));
  if ((result & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)) === 0) yield upRead(k.vmas.lock(vma));
  return result;
}

/**
 * Whether a fault may use the VMA under its own lock: not while it is being changed; up to v6.5 only anonymous ones that have an
 * anon_vma.
 */
function lockable(k: Kernel, vma: number): boolean {
  if (k.vmas.isWriteLocked(vma)) return false;
  if (k.profile.perVmaLock === "all") return true;
  return (
    k.vmas.file(vma) === 0 &&
    k.vmas.anonVma(vma) !== 0 &&
    !k.vmas.has(vma, VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR)
  );
}

function accessFlag(access: Access): number {
  if (access === "write") return FAULT_FLAG_WRITE;
  return access === "exec" ? FAULT_FLAG_INSTRUCTION : 0;
}

function checkAccess(k: Kernel, vma: number, access: Access) {
  return step("access_error", () => accessError(k, vma, access));
}

/** access_error(): a signal when the VMA's rights forbid the access, else 0. */
function accessError(k: Kernel, vma: number, access: Access): number {
  const needed = access === "write" ? VM_WRITE : access === "exec" ? VM_EXEC : VM_ACCESS_FLAGS;
  return k.vmas.has(vma, needed) ? 0 : encodeSignal(SIGSEGV, SEGV_ACCERR);
}

/** mm_fault_error(). */
function signalOf(result: number): number {
  if ((result & VM_FAULT_ERROR) === 0) return 0;
  if ((result & VM_FAULT_OOM) !== 0) return encodeSignal(SIGKILL, 0);
  if ((result & (VM_FAULT_HWPOISON | VM_FAULT_HWPOISON_LARGE)) !== 0) return encodeSignal(SIGBUS, BUS_MCEERR_AR);
  if ((result & VM_FAULT_SIGBUS) !== 0) return encodeSignal(SIGBUS, BUS_ADRERR);
  return encodeSignal(SIGSEGV, SEGV_MAPERR);
}
