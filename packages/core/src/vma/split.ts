import { call, type Path, step } from "@mmu-notifier/steps";
import { EINVAL, ENOMEM } from "../errno.js";
import type { Kernel } from "../kernel.js";
import { VM_HUGETLB } from "../vma.js";
import { splitHugePmdIfNeeded } from "./adjust-trans-huge.js";
import { anonVmaClone, anonVmaTreeUpdate } from "./anon-vma-links.js";
import { fileTreeUpdate, vmaLinkFile } from "./file-links.js";
import { dropRmapLocks, takeRmapLocks, vmaInode } from "./rmap-locks.js";
import { vmaStartWrite } from "./vma-lock.js";

/**
 * split_vma(): two VMAs instead of one, with the border at page `vpn`. mmap_lock held for writing.
 *
 * @param newBelow the fresh VMA is the lower part; else it is the upper one
 * @param checkCount false lets munmap exceed the limit of VMAs for a moment
 * @returns 0, -ENOMEM when there are too many VMAs, -EINVAL inside a huge page of hugetlb
 */
export function splitVma(
  k: Kernel,
  cpu: number,
  vma: number,
  vpn: number,
  newBelow: boolean,
  checkCount = true,
): Path<number> {
  return call("split_vma", split(k, cpu, vma, vpn, newBelow, checkCount));
}

function* split(
  k: Kernel,
  cpu: number,
  vma: number,
  vpn: number,
  newBelow: boolean,
  checkCount: boolean,
): Path<number> {
  const error = yield step("map_count, may_split", () => {
    if (checkCount && k.vmas.count(k.mms.vmaList(k.vmas.mm(vma))) >= k.config.maxMapCount) return -ENOMEM;
    return k.vmas.has(vma, VM_HUGETLB) && vpn % k.tables.hugePages !== 0 ? -EINVAL : 0;
  });
  if (error !== 0) return error;
  yield* vmaStartWrite(k, vma);
  const inode = yield* vmaInode(k, vma);
  const anonVma = yield step("vma->anon_vma", () => k.vmas.anonVma(vma));
  const locks = yield* takeRmapLocks(k, inode, anonVma);
  yield* splitHugePmdIfNeeded(k, cpu, vma, vpn);
  yield step("vma_complete", () => {
    insertPart(k, vma, vpn, newBelow);
    return 0;
  });
  yield* dropRmapLocks(k, locks);
  return 0;
}

function insertPart(k: Kernel, vma: number, vpn: number, newBelow: boolean): void {
  const { vmas } = k;
  const start = vmas.start(vma);
  const end = vmas.end(vma);
  const low = vmas.pgoff(vma);
  const high = vmas.linearIndex(vma, vpn);
  const part = vmas.dup(vma);
  if (vmas.isWriteLocked(vma)) vmas.startWrite(part);
  anonVmaClone(k, part);
  anonVmaTreeUpdate(k, vma);
  vmaLinkFile(k, part);
  fileTreeUpdate(k, vma);
  if (vmas.file(part) !== 0) k.files.get(vmas.file(part));
  if (vmas.uffd(part) !== 0) k.uffds.get(vmas.uffd(part));
  if (vmas.private(part) !== 0) k.hugetlb.getMap(vmas.private(part));
  vmas.setRange(part, newBelow ? start : vpn, newBelow ? vpn : end, newBelow ? low : high);
  vmas.setRange(vma, newBelow ? vpn : start, newBelow ? end : vpn, newBelow ? high : low);
  vmas.insert(k.mms.vmaList(vmas.mm(vma)), part);
}
