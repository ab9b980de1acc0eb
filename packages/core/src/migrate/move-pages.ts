import { call, downRead, type Path, step, upRead } from "@mmu-notifier/steps";
import { EACCES, EBUSY, EFAULT, ENODEV, ENOENT } from "../errno.js";
import { PAGE_SIZE } from "../geometry.js";
import { isHugeZeroPmd } from "../huge/huge-zero.js";
import type { Kernel } from "../kernel.js";
import { pteHugeLeaf, ptePfn, ptePresent, pteSpecial } from "../pte.js";
import type { Thread } from "../thread.js";
import { folioIsolateLru, migratePages } from "./migrate-pages.js";
import { folioMapcount } from "../rmap/rmap.js";

/**
 * move_pages(2) with MPOL_MF_MOVE: moves the pages at byte addresses `addresses` to `node`. `status` gets, for each, its node or
 * -errno.
 *
 * @returns 0, the number of pages that could not be moved, or -errno
 */
export function sysMovePages(
  k: Kernel,
  t: Thread,
  addresses: readonly number[],
  node: number,
  status: number[],
): Path<number> {
  return call("move_pages", movePages(k, t, addresses, node, status));
}

function* movePages(k: Kernel, t: Thread, addresses: readonly number[], node: number, status: number[]): Path<number> {
  if (node < 0 || node >= k.config.nodes) return -ENODEV;
  const folios: number[] = [];
  const lock = k.mms.mmapLock(t.mm);
  for (const [i, address] of addresses.entries()) {
    yield downRead(lock);
    const found = yield step("add_folio_for_migration", () => isolate(k, t.mm, Math.floor(address / PAGE_SIZE), node));
    yield upRead(lock);
    status[i] = found > 0 || found === ON_NODE ? node : found;
    if (found > 0) folios.push(found);
  }
  return folios.length === 0 ? 0 : yield* migratePages(k, t.cpu, folios, node);
}

/** The folio is where it is wanted. */
const ON_NODE = 0;

/** The isolated folio, {@link ON_NODE}, or why not. */
function isolate(k: Kernel, mm: number, vpn: number, node: number): number {
  if (k.vmas.lookup(k.mms.vmaList(mm), vpn) === 0) return -EFAULT;
  const leaf = k.tables.leaf(k.mms.pgd(mm), vpn);
  const pte = leaf === 0 ? 0 : k.tables.get(leaf);
  if (!ptePresent(pte)) return -ENOENT;
  if (pteSpecial(pte) || (pteHugeLeaf(pte) && isHugeZeroPmd(k, pte))) return -EFAULT;
  const pfn = pteHugeLeaf(pte) ? ptePfn(pte) + (vpn % k.tables.hugePages) : ptePfn(pte);
  const head = k.pages.head(pfn);
  if (k.pages.node(head) === node) return ON_NODE;
  const alone =
    k.pages.pages(head) === 1 || folioMapcount(k, head) === 1
      ? folioMapcount(k, head) === 1
      : k.pages.totalMapcount(pfn) === 1;
  if (!alone) return -EACCES;
  return folioIsolateLru(k, head) ? head : -EBUSY;
}
