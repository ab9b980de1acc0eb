import { call, type Path, step } from "@mmu-notifier/steps";
import { EBUSY, EINVAL, EPERM } from "../errno.js";
import { INODE_HUGETLB, INODE_SHMEM } from "../file.js";
import { vmaKind } from "../fault/vm-page-prot.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import type { Thread } from "../thread.js";
import { UFFD_FEATURE_WP_ASYNC } from "../userfaultfd.js";
import { VM_HUGETLB, VM_MAYWRITE, VM_UFFD_MINOR, VM_UFFD_MISSING, VM_UFFD_WP } from "../vma.js";
import { resetFlags, vmaModify, vmaShape } from "../vma/modify.js";
import { taskPages } from "../vma/task-size.js";
import { mmapWriteLock, mmapWriteUnlock, vmaStartWrite } from "../vma/vma-lock.js";
import { validRange } from "./valid-range.js";
import { uffdWpRange } from "./write-protect.js";

/** What a range is registered for. */
export interface UffdModes {
  readonly missing: boolean;
  readonly wp: boolean;
  readonly minor: boolean;
}

const UFFD_FLAGS = VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR;

/** UFFDIO_REGISTER of `length` bytes from `start`. Splits and merges VMAs; notifies nobody. Returns 0 or -errno. */
export function uffdRegister(
  k: Kernel,
  t: Thread,
  uffd: number,
  start: number,
  length: number,
  modes: UffdModes,
): Path<number> {
  return call("userfaultfd_register", register(k, t, uffd, start, length, modes));
}

function flagsOf({ missing, wp, minor }: UffdModes): number {
  return (missing ? VM_UFFD_MISSING : 0) | (wp ? VM_UFFD_WP : 0) | (minor ? VM_UFFD_MINOR : 0);
}

function* register(k: Kernel, t: Thread, uffd: number, start: number, length: number, modes: UffdModes): Path<number> {
  const wanted = flagsOf(modes);
  if (wanted === 0 || (modes.wp && k.arch.arm64 && k.profile.arm64UffdWp === "refused")) return -EINVAL;
  if (!validRange(k, start, length)) return -EINVAL;
  const first = start / PAGE_SIZE;
  const end = first + length / PAGE_SIZE;
  yield* mmapWriteLock(k, t.mm);
  const error = yield step("vma_can_userfault", () => checkVmas(k, t.mm, uffd, first, end, wanted));
  const result =
    error !== 0
      ? error
      : yield* forEachVma(k, t, first, end, (vma, from, to) => arm(k, t.cpu, uffd, vma, from, to, wanted));
  yield* mmapWriteUnlock(k, t.mm);
  return result;
}

function checkVmas(k: Kernel, mm: number, uffd: number, start: number, end: number, wanted: number): number {
  const list = k.mms.vmaList(mm);
  const first = k.vmas.indexAbove(list, start);
  const found = k.vmas.at(list, first);
  if (found === 0 || k.vmas.start(found) >= end) return -EINVAL;
  if (k.vmas.has(found, VM_HUGETLB) && start % k.tables.hugePages !== 0) return -EINVAL;
  for (let i = first; i < k.vmas.count(list) && k.vmas.start(k.vmas.at(list, i)) < end; i++) {
    const vma = k.vmas.at(list, i);
    if (!canUserfault(k, vma, uffd, wanted)) return -EINVAL;
    if (!k.vmas.has(vma, VM_MAYWRITE)) return -EPERM;
    if (
      k.vmas.has(vma, VM_HUGETLB) &&
      end > k.vmas.start(vma) &&
      end <= k.vmas.end(vma) &&
      end % k.tables.hugePages !== 0
    )
      return -EINVAL;
    const owner = k.vmas.uffd(vma);
    if (owner !== 0 && owner !== uffd) return -EBUSY;
  }
  return 0;
}

/** vma_can_userfault(): anonymous memory, shmem and hugetlb; asynchronous write protection alone works with every file. */
function canUserfault(k: Kernel, vma: number, uffd: number, wanted: number): boolean {
  const kind = vmaKind(k, vma);
  if (wanted === VM_UFFD_WP && since(k.profile, 6, 7) && k.uffds.has(uffd, UFFD_FEATURE_WP_ASYNC)) return true;
  if ((wanted & VM_UFFD_MINOR) !== 0 && kind !== INODE_SHMEM && kind !== INODE_HUGETLB) return false;
  if ((wanted & VM_UFFD_WP) !== 0 && kind !== 0 && !since(k.profile, 5, 19)) return false;
  return kind === 0 || kind === INODE_SHMEM || kind === INODE_HUGETLB;
}

/** Calls `apply` with the part of each VMA in [start, end). Stops at the first negative result. */
function* forEachVma(
  k: Kernel,
  t: Thread,
  start: number,
  end: number,
  apply: (vma: number, from: number, to: number) => Path<number>,
): Path<number> {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(t.mm));
  for (let at = start; at < end;) {
    const from = at;
    const vma = yield step("for_each_vma_range", () => k.vmas.findIntersection(list, from, end));
    if (vma === 0) return 0;
    const first = yield step("vma->vm_start", () => Math.max(from, k.vmas.start(vma)));
    const last = yield step("vma->vm_end", () => Math.min(end, k.vmas.end(vma)));
    const result = yield* apply(vma, first, last);
    if (result < 0) return result;
    at = last;
  }
  return 0;
}

function* arm(
  k: Kernel,
  cpu: number,
  uffd: number,
  vma: number,
  start: number,
  end: number,
  wanted: number,
): Path<number> {
  const shape = yield* vmaShape(k, vma);
  if (shape.uffd === uffd && (shape.flags & wanted) === wanted) return 0;
  const flags = (shape.flags & ~UFFD_FLAGS) | wanted;
  return yield* change(k, cpu, vma, start, end, flags, uffd);
}

/** userfaultfd_set_ctx(), on exactly [start, end) of `vma`. */
function* change(
  k: Kernel,
  cpu: number,
  vma: number,
  start: number,
  end: number,
  flags: number,
  uffd: number,
): Path<number> {
  const shape = yield* vmaShape(k, vma);
  const changed = yield* vmaModify(k, cpu, vma, start, end, { ...shape, flags, uffd });
  if (changed < 0) return changed;
  yield* vmaStartWrite(k, changed);
  yield step("userfaultfd_set_ctx", () => {
    const before = k.vmas.uffd(changed);
    if (before !== uffd) {
      if (uffd !== 0) k.uffds.get(uffd);
      k.vmas.setUffd(changed, uffd);
      if (before !== 0) k.uffds.put(before);
    }
    resetFlags(k, changed, flags);
    return 0;
  });
  return 0;
}

/** UFFDIO_UNREGISTER of `length` bytes from `start`: write protection that is left goes, under a notification. Returns 0 or -errno. */
export function uffdUnregister(k: Kernel, t: Thread, uffd: number, start: number, length: number): Path<number> {
  return call("userfaultfd_unregister", unregister(k, t, uffd, start, length));
}

function* unregister(k: Kernel, t: Thread, uffd: number, start: number, length: number): Path<number> {
  if (!validRange(k, start, length)) return -EINVAL;
  const first = start / PAGE_SIZE;
  const end = first + length / PAGE_SIZE;
  yield* mmapWriteLock(k, t.mm);
  const error = yield step("vma_can_userfault", () => checkUnregister(k, t.mm, uffd, first, end));
  const result =
    error !== 0 ? error : yield* forEachVma(k, t, first, end, (vma, from, to) => disarm(k, t, vma, from, to));
  yield* mmapWriteUnlock(k, t.mm);
  return result;
}

function checkUnregister(k: Kernel, mm: number, uffd: number, start: number, end: number): number {
  const list = k.mms.vmaList(mm);
  const first = k.vmas.indexAbove(list, start);
  const found = k.vmas.at(list, first);
  if (found === 0 || k.vmas.start(found) >= end) return -EINVAL;
  if (k.vmas.has(found, VM_HUGETLB) && start % k.tables.hugePages !== 0) return -EINVAL;
  for (let i = first; i < k.vmas.count(list) && k.vmas.start(k.vmas.at(list, i)) < end; i++) {
    const vma = k.vmas.at(list, i);
    if (!canUserfault(k, vma, uffd, k.vmas.flags(vma) & UFFD_FLAGS)) return -EINVAL;
  }
  return 0;
}

function* disarm(k: Kernel, t: Thread, vma: number, start: number, end: number): Path<number> {
  const shape = yield* vmaShape(k, vma);
  if (shape.uffd === 0) return 0;
  if ((shape.flags & VM_UFFD_WP) !== 0 && k.profile.uffdUnregisterResolves) {
    const error = yield* uffdWpRange(k, t, vma, start, end, false);
    if (error < 0) return error;
  }
  return yield* change(k, t.cpu, vma, start, end, shape.flags & ~UFFD_FLAGS, 0);
}

/** {@link disarm} for a VMA that refers to the context `uffd`. */
function* disarmOwn(k: Kernel, t: Thread, uffd: number, vma: number, from: number, to: number): Path<number> {
  const own = yield step("vma->vm_userfaultfd_ctx", () => (k.vmas.uffd(vma) === uffd ? 1 : 0));
  return own !== 0 ? yield* disarm(k, t, vma, from, to) : 0;
}

/** userfaultfd_release(): the descriptor is closed; every VMA that refers to the context lets go of it. */
export function* uffdRelease(k: Kernel, t: Thread, uffd: number): Path {
  yield* mmapWriteLock(k, t.mm);
  yield* forEachVma(k, t, 0, taskPages(k), (vma, from, to) => disarmOwn(k, t, uffd, vma, from, to));
  yield* mmapWriteUnlock(k, t.mm);
  yield step("userfaultfd_ctx_put", () => {
    k.uffds.put(uffd);
    return 0;
  });
}
