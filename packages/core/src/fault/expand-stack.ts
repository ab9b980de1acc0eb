import { call, downRead, downWrite, type Path, step, upRead, upWrite } from "@mmu-notifier/steps";
import { EFAULT, ENOMEM, EPERM } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { VM_ACCESS_FLAGS, VM_GROWSDOWN, VM_LOCKED } from "../vma.js";
import { anonVmaTreeUpdate } from "../vma/anon-vma-links.js";
import { anonVmaPrepare } from "./anon-vma-prepare.js";

/** stack_guard_gap: pages that stay free below a growing VMA. */
const STACK_GUARD_GAP = 256;
/** RLIMIT_STACK in pages: 8 MiB. */
const STACK_LIMIT = 2048;

const GROWS = -1;

/**
 * find_extend_vma() with mmap_lock held for reading: the VMA of page `vpn`, after growing a stack down to it if there is one
 * above; 0 when there is none. The lock may be dropped and taken again.
 */
export function* findExtendVma(k: Kernel, cpu: number, mm: number, vpn: number): Path<number> {
  const found = yield step("find_vma", () => lookup(k, mm, vpn));
  if (found >= 0) return found;
  return yield* expandStack(k, cpu, mm, vpn);
}

/**
 * gup_vma_lookup(): the VMA of page `vpn`, or 0. Since v6.5 only faults and accesses from outside grow a stack; before,
 * get_user_pages() did too.
 */
export function* gupVmaLookup(k: Kernel, cpu: number, mm: number, vpn: number): Path<number> {
  if (!since(k.profile, 6, 5)) return yield* findExtendVma(k, cpu, mm, vpn);
  return yield step("vma_lookup", () => k.vmas.lookup(k.mms.vmaList(mm), vpn));
}

/** The VMA that contains the page, {@link GROWS} if a growing one lies above, or 0. */
function lookup(k: Kernel, mm: number, vpn: number): number {
  const vma = k.vmas.find(k.mms.vmaList(mm), vpn);
  if (vma === 0) return 0;
  if (k.vmas.start(vma) <= vpn) return vma;
  return k.vmas.has(vma, VM_GROWSDOWN) ? GROWS : 0;
}

/** lock_mm_and_find_vma()'s slow part: takes mmap_lock for writing, grows the VMA, goes back to reading. */
function* expandStack(k: Kernel, _cpu: number, mm: number, vpn: number): Path<number> {
  const lock = k.mms.mmapLock(mm);
  const writer = since(k.profile, 6, 4);
  if (writer) {
    yield upRead(lock);
    yield downWrite(lock);
  }
  const vma = yield* call("expand_downwards", grow(k, mm, vpn));
  if (writer) {
    yield upWrite(lock);
    yield downRead(lock);
  }
  return vma > 0 ? vma : 0;
}

function* grow(k: Kernel, mm: number, vpn: number): Path<number> {
  return yield step("expand_downwards", () => {
    const found = lookup(k, mm, vpn);
    if (found !== GROWS) return found;
    const vma = k.vmas.find(k.mms.vmaList(mm), vpn);
    const error = expandDownwards(k, mm, vma, vpn);
    return error === 0 ? vma : 0;
  });
}

/** expand_downwards(): moves vm_start down to `vpn`; 0 or -errno. Inside a step. */
function expandDownwards(k: Kernel, mm: number, vma: number, vpn: number): number {
  if (!k.vmas.has(vma, VM_GROWSDOWN)) return -EFAULT;
  if (vpn < k.config.mmapMinPage) return -EPERM;
  const list = k.mms.vmaList(mm);
  const prev = k.vmas.prev(list, vma);
  if (
    prev !== 0 &&
    !k.vmas.has(prev, VM_GROWSDOWN) &&
    k.vmas.has(prev, VM_ACCESS_FLAGS) &&
    vpn - k.vmas.end(prev) < STACK_GUARD_GAP
  )
    return -ENOMEM;
  const pages = k.vmas.start(vma) - vpn;
  const size = k.vmas.end(vma) - vpn;
  if (size > STACK_LIMIT || pages > k.vmas.pgoff(vma)) return -ENOMEM;
  if (k.vmas.has(vma, VM_LOCKED)) {
    const limit = k.config.memlockLimit;
    if (limit >= 0 && k.mms.lockedVm(mm) + pages > limit && !k.config.privileged) return -ENOMEM;
    k.mms.addLockedVm(mm, pages);
  }
  anonVmaPrepare(k, vma);
  k.vmas.setRange(vma, vpn, k.vmas.end(vma), k.vmas.pgoff(vma) - pages);
  anonVmaTreeUpdate(k, vma);
  return 0;
}
