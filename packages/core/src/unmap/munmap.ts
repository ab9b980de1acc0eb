import { call, type Path, step, upRead } from "@mmu-notifier/steps";
import { EINVAL, ENOMEM, EPERM } from "../errno.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { tlbGatherMmu } from "../tlb/mmu-gather.js";
import { VM_GROWSDOWN, VM_LOCKED, VM_SEALED } from "../vma.js";
import { removeVma } from "../vma/remove-vma.js";
import { splitVma } from "../vma/split.js";
import { taskPages } from "../vma/task-size.js";
import { mmapWriteDowngrade, mmapWriteLock, mmapWriteUnlock, vmaStartWrite } from "../vma/vma-lock.js";
import { freePgtables } from "./free-pgtables.js";
import { unmapVmas } from "./unmap-vmas.js";

/** USER_PGTABLES_CEILING: nothing above needs page tables. */
const NO_CEILING = 2 ** 52;

/**
 * munmap(2), in bytes.
 *
 * @returns 0 or -errno
 */
export function sysMunmap(k: Kernel, t: Thread, start: number, length: number): Path<number> {
  return call("munmap", munmap(k, t, start, length));
}

function* munmap(k: Kernel, t: Thread, start: number, length: number): Path<number> {
  yield* mmapWriteLock(k, t.mm);
  const end = start + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (start % PAGE_SIZE !== 0 || end === start || end > taskPages(k) * PAGE_SIZE) {
    yield* mmapWriteUnlock(k, t.mm);
    return -EINVAL;
  }
  const downgraded = yield* doVmiMunmap(k, t, start / PAGE_SIZE, end / PAGE_SIZE, true);
  if (downgraded > 0) {
    yield upRead(k.mms.mmapLock(t.mm));
    return 0;
  }
  yield* mmapWriteUnlock(k, t.mm);
  return downgraded;
}

/**
 * do_vmi_munmap(): takes pages [start, end) out of the address space. mmap_lock held for writing.
 *
 * @param unlock mmap_lock may be downgraded while entries are taken away
 * @returns 0, 1 when mmap_lock is held for reading now, or -errno; an error may leave VMAs split
 */
export function doVmiMunmap(k: Kernel, t: Thread, start: number, end: number, unlock = false): Path<number> {
  return call("do_vmi_align_munmap", alignMunmap(k, t, start, end, unlock));
}

function* alignMunmap(k: Kernel, t: Thread, start: number, end: number, unlock: boolean): Path<number> {
  const { cpu, mm } = t;
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(mm));
  const first = yield step("find_vma_intersection", () => k.vmas.findIntersection(list, start, end));
  if (first === 0) return 0;
  const splitLow = yield step("vma->vm_start < start", () => (k.vmas.start(first) < start ? 1 : 0));
  if (splitLow !== 0) {
    const refused = yield step("map_count, can_modify_vma", () => {
      if (k.vmas.end(first) > end && k.vmas.count(list) >= k.config.maxMapCount) return -ENOMEM;
      return k.vmas.has(first, VM_SEALED) ? -EPERM : 0;
    });
    if (refused !== 0) return refused;
    const error = yield* splitVma(k, cpu, first, start, true, false);
    if (error !== 0) return error;
  }
  const vmas: number[] = [];
  for (let at = start; ;) {
    const from = at;
    const vma = yield step("for_each_vma_range", () => k.vmas.findIntersection(list, from, end));
    if (vma === 0) break;
    const splitHigh = yield step("can_modify_vma", () =>
      k.vmas.has(vma, VM_SEALED) ? -EPERM : k.vmas.end(vma) > end ? 1 : 0,
    );
    if (splitHigh < 0) return splitHigh;
    if (splitHigh !== 0) {
      const error = yield* splitVma(k, cpu, vma, end, false, false);
      if (error !== 0) return error;
    }
    yield* vmaStartWrite(k, vma);
    vmas.push(vma);
    at = yield step("vma->vm_end", () => k.vmas.end(vma));
    if (at >= end) break;
  }
  const ceiling = yield* nextStart(k, list, end);
  const floor = yield* prevEnd(k, list, start);
  const growable = yield step("can_downgrade", () => {
    const index = k.vmas.indexAbove(list, end);
    const next = k.vmas.at(list, index);
    return next !== 0 && k.vmas.has(next, VM_GROWSDOWN) ? 1 : 0;
  });
  yield step("vmi_clear", () => {
    for (const vma of vmas) {
      if (k.vmas.has(vma, VM_LOCKED)) k.mms.addLockedVm(mm, k.vmas.start(vma) - k.vmas.end(vma));
      k.vmas.remove(list, vma);
    }
    return 0;
  });
  const downgrades = unlock && growable === 0;
  if (downgrades) yield* mmapWriteDowngrade(k, mm);
  yield* call("unmap_region", unmapRegion(k, cpu, mm, vmas, start, end, floor, ceiling));
  yield step("remove_vma", () => {
    for (const vma of vmas) removeVma(k, vma);
    return 0;
  });
  return downgrades ? 1 : 0;
}

/** Where the VMA behind `end` begins: page tables from there on are its. */
export function* nextStart(k: Kernel, list: number, end: number): Path<number> {
  return yield step("vma_next", () => {
    const next = k.vmas.find(list, end);
    return next === 0 ? NO_CEILING : k.vmas.start(next);
  });
}

/** Where the VMA before `start` ends: page tables below are its. */
export function* prevEnd(k: Kernel, list: number, start: number): Path<number> {
  return yield step("vma_prev", () => {
    const index = k.vmas.indexAbove(list, start);
    return index === 0 ? 0 : k.vmas.end(k.vmas.at(list, index - 1));
  });
}

/** unmap_region(): entries, tables and pages of VMAs that are out of the list. */
export function* unmapRegion(
  k: Kernel,
  cpu: number,
  mm: number,
  vmas: readonly number[],
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): Path {
  const tlb = yield* tlbGatherMmu(k, cpu, mm);
  yield* unmapVmas(k, cpu, tlb, vmas, start, end);
  const from = yield step("vma->vm_start", () => k.vmas.start(vmas[0]!));
  const last = vmas[vmas.length - 1]!;
  const to = yield step("vma->vm_end", () => k.vmas.end(last));
  yield* freePgtables(k, tlb, from, to, floor, ceiling);
  yield* tlb.finish();
}
