import type { MmHandle } from "@mmu-notifier/bus";
import { downWrite, mutexLock, mutexUnlock, type Path, step, upWrite } from "@mmu-notifier/steps";
import { EINTR } from "../errno.js";
import { INODE_HUGETLB } from "../file.js";
import type { Kernel } from "../kernel.js";
import { vmaEndWriteAll, vmaStartWrite } from "../vma/vma-lock.js";
import { mmdrop } from "./mm-count.js";

/** What the bus needs to know of address space `mm`. */
export function mmHandle(k: Kernel, mm: number): MmHandle {
  return {
    id: mm,
    mmapLock: k.mms.mmapLock(mm),
    users: () => k.mms.users(mm),
    grab: () => {
      k.mms.addCount(mm, 1);
    },
    drop: () => {
      mmdrop(k, mm);
    },
    takeAllLocks: () => takeAllLocks(k, mm),
    dropAllLocks: () => dropAllLocks(k, mm),
  };
}

/**
 * mm_take_all_locks(): with mmap_lock held for writing, every lock under which entries of the mm can change: each VMA's, the
 * i_mmap_rwsem of its files (hugetlb first), its anon_vmas. So no start without its end straddles a registration.
 *
 * @returns 0, or -EINTR when a signal came
 */
function* takeAllLocks(k: Kernel, mm: number): Path<number> {
  yield mutexLock(k.mmAllLocksMutex);
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(mm));
  const count = yield step("mm->map_count", () => k.vmas.count(list));
  for (let i = 0; i < count; i++) {
    const vma = yield step("signal_pending", () => (k.mms.signalPending(mm) ? -EINTR : k.vmas.at(list, i)));
    if (vma < 0) {
      yield* vmaEndWriteAll(k, mm);
      yield mutexUnlock(k.mmAllLocksMutex);
      return vma;
    }
    yield* vmaStartWrite(k, vma);
  }
  for (const hugetlb of [true, false]) {
    for (let inode = 0; ;) {
      const after = inode;
      inode = yield step("vm_lock_mapping", () => nextInode(k, list, after, hugetlb));
      if (inode === 0) break;
      yield downWrite(k.files.iMmapLock(inode), 1);
    }
  }
  for (let root = 0; ;) {
    const after = root;
    root = yield step("vm_lock_anon_vma", () => nextAnonRoot(k, list, after));
    if (root === 0) return 0;
    yield downWrite(k.anonVmas.lockOfRoot(root), 1);
  }
}

/** mm_drop_all_locks(), with what the mmap_write_unlock() that follows does to the VMAs. */
function* dropAllLocks(k: Kernel, mm: number): Path {
  const list = yield step("mm->mm_mt", () => k.mms.vmaList(mm));
  for (let root = 0; ;) {
    const after = root;
    root = yield step("vm_unlock_anon_vma", () => nextAnonRoot(k, list, after));
    if (root === 0) break;
    yield upWrite(k.anonVmas.lockOfRoot(root));
  }
  for (const hugetlb of [false, true]) {
    for (let inode = 0; ;) {
      const after = inode;
      inode = yield step("vm_unlock_mapping", () => nextInode(k, list, after, hugetlb));
      if (inode === 0) break;
      yield upWrite(k.files.iMmapLock(inode));
    }
  }
  yield* vmaEndWriteAll(k, mm);
  yield mutexUnlock(k.mmAllLocksMutex);
}

/** The lowest inode above `after` that a VMA of the list maps, or 0. */
function nextInode(k: Kernel, list: number, after: number, hugetlb: boolean): number {
  let found = 0;
  for (let i = 0; i < k.vmas.count(list); i++) {
    const file = k.vmas.file(k.vmas.at(list, i));
    const inode = file === 0 ? 0 : k.files.inode(file);
    if (inode <= after || (found !== 0 && inode >= found)) continue;
    if ((k.files.kind(inode) === INODE_HUGETLB) === hugetlb) found = inode;
  }
  return found;
}

function nextAnonRoot(k: Kernel, list: number, after: number): number {
  let found = 0;
  for (let i = 0; i < k.vmas.count(list); i++) {
    const anonVma = k.vmas.anonVma(k.vmas.at(list, i));
    const root = anonVma === 0 ? 0 : k.anonVmas.root(anonVma);
    if (root > after && (found === 0 || root < found)) found = root;
  }
  return found;
}
