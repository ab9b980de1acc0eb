import { call, type Path, step } from "@mmu-notifier/steps";
import { EINVAL } from "../errno.js";
import { filePut } from "../files/file-put.js";
import { PAGE_SIZE } from "../geometry.js";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { VM_EXEC, VM_HUGETLB, VM_LOCKED, VM_READ, VM_SHARED, VM_WRITE } from "../vma.js";
import { MAP_FIXED, MAP_LOCKED, MAP_POPULATE, MAP_SHARED, PROT_EXEC, PROT_READ, PROT_WRITE } from "./mman.js";
import { sysMmap } from "./mmap.js";

/** remap_file_pages(2): shows another part of the same file, by mapping it over. Bytes, `pgoff` in pages. 0 or -errno. */
export function sysRemapFilePages(
  k: Kernel,
  t: Thread,
  start: number,
  size: number,
  prot: number,
  pgoff: number,
): Path<number> {
  return call("remap_file_pages", remap(k, t, start, size, prot, pgoff));
}

function* remap(k: Kernel, t: Thread, startBytes: number, size: number, prot: number, pgoff: number): Path<number> {
  const start = Math.floor(startBytes / PAGE_SIZE);
  const pages = Math.floor(size / PAGE_SIZE);
  if (prot !== 0 || pages <= 0) return -EINVAL;
  const flags = yield step("vma_lookup", () => {
    const vma = k.vmas.lookup(k.mms.vmaList(t.mm), start);
    if (vma === 0 || !k.vmas.has(vma, VM_SHARED) || !sameFileUpTo(k, t.mm, vma, start + pages)) return -EINVAL;
    // hugetlb_get_unmapped_area() wants whole huge pages.
    if (k.vmas.has(vma, VM_HUGETLB) && pages % k.tables.hugePages !== 0) return -EINVAL;
    return k.vmas.flags(vma) >>> 0;
  });
  if (flags < 0) return flags;
  const file = yield step("get_file", () => {
    const found = k.vmas.file(k.vmas.lookup(k.mms.vmaList(t.mm), start));
    k.files.get(found);
    return found;
  });
  const rights =
    ((flags & VM_READ) !== 0 ? PROT_READ : 0) |
    ((flags & VM_WRITE) !== 0 ? PROT_WRITE : 0) |
    ((flags & VM_EXEC) !== 0 ? PROT_EXEC : 0);
  const result = yield* sysMmap(k, t, {
    address: start * PAGE_SIZE,
    length: pages * PAGE_SIZE,
    prot: rights,
    flags: MAP_SHARED | MAP_FIXED | MAP_POPULATE | ((flags & VM_LOCKED) !== 0 ? MAP_LOCKED : 0),
    file,
    offset: pgoff * PAGE_SIZE,
  });
  yield step("fput", () => {
    filePut(k, file);
    return 0;
  });
  return result < 0 ? result : 0;
}

/** The range has no hole and shows one file with one set of flags. */
function sameFileUpTo(k: Kernel, mm: number, vma: number, end: number): boolean {
  const list = k.mms.vmaList(mm);
  for (let at = vma; k.vmas.end(at) < end;) {
    const next = k.vmas.next(list, at);
    if (next === 0 || k.vmas.start(next) !== k.vmas.end(at)) return false;
    if (k.vmas.file(next) !== k.vmas.file(at) || k.vmas.flags(next) !== k.vmas.flags(at)) return false;
    at = next;
  }
  return true;
}
