import { call, downRead, mightSleep, type Path, step, upRead } from "@mmu-notifier/steps";
import { EAGAIN, EEXIST, EFAULT, EINVAL, ENOENT } from "../errno.js";
import { anonVmaPrepare } from "../fault/anon-vma-prepare.js";
import { filemapAdd } from "../fault/page-cache.js";
import { lockPtl, unlockPtl } from "../fault/pte-map.js";
import { markerUffdWp } from "../fault/pte-marker.js";
import { vmaKind, vmPageProtOf } from "../fault/vm-page-prot.js";
import { INODE_HUGETLB, INODE_SHMEM } from "../file.js";
import { folioPut } from "../folio.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import { since } from "../kernel-profile.js";
import { PG_DIRTY } from "../page.js";
import { PTE_LEVEL } from "../page-table.js";
import { isPteMarker, mkPte, type Pte, pteMkspecial, pteNone } from "../pte.js";
import { folioAddNewAnonRmap, folioAddRmap } from "../rmap/rmap.js";
import type { Thread } from "../thread.js";
import { setPteAt } from "../tlb/ptep.js";
import { updateMmuCache } from "../tlb/set-access-flags.js";
import { VM_HUGETLB, VM_SHARED, VM_UFFD_WP, VM_WRITE } from "../vma.js";
import { validRange } from "./valid-range.js";

/** UFFDIO_ZEROPAGE of `length` bytes from `start`: the zero page where nothing is. Notifies nobody. Returns 0 or -errno. */
export function uffdZeropage(k: Kernel, t: Thread, start: number, length: number): Path<number> {
  return call("userfaultfd_zeropage", fill(k, t, start, length, { zero: true, wp: false, value: 0 }));
}

/** UFFDIO_COPY of one page at byte address `start`, full of `value`; write-protected with `wp`. Notifies nobody. Returns 0 or -errno. */
export function uffdCopy(k: Kernel, t: Thread, start: number, value: number, wp: boolean): Path<number> {
  return call("userfaultfd_copy", fill(k, t, start, PAGE_SIZE, { zero: false, wp, value }));
}

interface Filling {
  readonly zero: boolean;
  readonly wp: boolean;
  readonly value: number;
}

function* fill(k: Kernel, t: Thread, start: number, length: number, how: Filling): Path<number> {
  if (!validRange(k, start, length)) return -EINVAL;
  const first = start / PAGE_SIZE;
  const end = first + length / PAGE_SIZE;
  const lock = k.mms.mmapLock(t.mm);
  yield downRead(lock);
  const vma = yield step("find_dst_vma", () => destination(k, t.mm, first, end, how));
  let filled = 0;
  let result = vma < 0 ? vma : 0;
  for (let vpn = first; vpn < end && result === 0; vpn++) {
    result = yield* fillPage(k, t, vma, vpn, how);
    if (result === 0) filled++;
  }
  yield upRead(lock);
  if (result === 0) return 0;
  return filled > 0 ? -EAGAIN : result;
}

function destination(k: Kernel, mm: number, start: number, end: number, { zero, wp }: Filling): number {
  const vma = k.vmas.lookup(k.mms.vmaList(mm), start);
  if (vma === 0) return -ENOENT;
  // The VMA is locked with its anon_vma in place before anybody asks whether it is registered.
  if (!k.vmas.has(vma, VM_SHARED)) anonVmaPrepare(k, vma);
  if (k.vmas.end(vma) < end || k.vmas.uffd(vma) === 0) return -ENOENT;
  const kind = vmaKind(k, vma);
  if ((wp && !k.vmas.has(vma, VM_UFFD_WP)) || (kind !== 0 && kind !== INODE_SHMEM && kind !== INODE_HUGETLB))
    return -EINVAL;
  // Huge pages are filled whole, never with zeroes of a shared page.
  if (k.vmas.has(vma, VM_HUGETLB) && (zero || (end - start) % k.tables.hugePages !== 0)) return -EINVAL;
  return vma;
}

/** mfill_atomic_pte(): one page, unless something is there. */
function* fillPage(k: Kernel, t: Thread, vma: number, vpn: number, how: Filling): Path<number> {
  yield mightSleep("mfill_alloc_pmd");
  const ptep = yield step("pte_alloc", () => k.tables.findOrCreate(k.mms.pgd(t.mm), PTE_LEVEL, vpn));
  if (ptep === 0) return -EEXIST;
  const shared = yield step("VM_SHARED", () => (k.vmas.has(vma, VM_SHARED) ? 1 : 0));
  const page =
    how.zero && shared === 0
      ? 0
      : yield step("mfill_atomic_pte_copy", () => newPage(k, vma, vpn, how.value, shared !== 0));
  if (page < 0) return page;
  yield lockPtl(k, ptep);
  const entry = yield step("mfill_atomic_install_pte", () => {
    const pte = k.tables.get(ptep);
    if (!pteNone(pte) && !(page !== 0 && givesWay(k, pte))) return 0;
    if (page === 0) return pteMkspecial(mkPte(k.pages.zeroPfn, vmPageProtOf(k, vma)));
    if (shared !== 0) folioAddRmap(k, page);
    else folioAddNewAnonRmap(k, page, vma, vpn);
    return pageEntry(k, vma, page, how.wp);
  });
  if (entry !== 0) {
    yield setPteAt(k, t.mm, vpn, ptep, entry);
    yield* updateMmuCache(k, t.cpu, t.mm, vpn);
  }
  yield unlockPtl(k, ptep);
  if (entry !== 0) return 0;
  if (page !== 0) {
    yield step("folio_put", () => {
      folioPut(k, page);
      return 0;
    });
  }
  return -EEXIST;
}

/** A marker that a page may take the place of: each one, a guard page too, with pte_none_mostly(); only those of userfaultfd since v6.19. */
function givesWay(k: Kernel, pte: Pte): boolean {
  return since(k.profile, 6, 19) ? markerUffdWp(pte) : isPteMarker(pte);
}

/** A page for the entry to refer to: an anonymous one, or for a shared mapping one that is new in the file's cache. */
function newPage(k: Kernel, vma: number, vpn: number, value: number, shared: boolean): number {
  const inode = shared ? k.files.inode(k.vmas.file(vma)) : 0;
  const pgoff = k.vmas.linearIndex(vma, vpn);
  if (shared && pgoff >= k.files.size(inode)) return -EFAULT;
  if (shared && k.files.cached(inode, pgoff) !== 0) return -EEXIST;
  if (!shared) anonVmaPrepare(k, vma);
  const page = k.pages.alloc();
  k.pages.setContent(page, value);
  if (shared) {
    filemapAdd(k, inode, pgoff, page);
    k.pages.mark(page, PG_DIRTY);
    k.pages.get(page);
  }
  return page;
}

function pageEntry(k: Kernel, vma: number, page: number, wp: boolean): Pte {
  const dirty = k.pte.mkdirty(mkPte(page, vmPageProtOf(k, vma)));
  if (wp) return k.pte.mkuffdWp(k.pte.wrprotect(dirty));
  return k.vmas.has(vma, VM_WRITE) ? k.pte.mkwrite(dirty) : dirty;
}
