import type { Kernel } from "../kernel.js";
import { filePut } from "../files/file-put.js";
import { unlinkAnonVmas } from "./anon-vma-links.js";
import { unlinkFileVma } from "./file-links.js";

/**
 * remove_vma() with unlink_anon_vmas() and unlink_file_vma(): the row goes, with what it refers to. Not in a list any more. Inside
 * a step.
 */
export function removeVma(k: Kernel, vma: number): void {
  unlinkAnonVmas(k, vma);
  unlinkFileVma(k, vma);
  hugetlbVmClose(k, vma);
  const file = k.vmas.file(vma);
  const uffd = k.vmas.uffd(vma);
  k.vmas.free(vma);
  if (file !== 0) filePut(k, file);
  if (uffd !== 0) k.uffds.put(uffd);
}

/** hugetlb_vm_op_close(): promises that a private mapping made and did not use are taken back. */
function hugetlbVmClose(k: Kernel, vma: number): void {
  const map = k.vmas.private(vma);
  if (map === 0) return;
  const span = k.tables.hugePages;
  const first = k.vmas.pgoff(vma) / span;
  const pages = (k.vmas.end(vma) - k.vmas.start(vma)) / span;
  const unused = pages - k.hugetlb.count(map, first, first + pages);
  k.hugetlb.putMap(map);
  if (unused > 0) k.hugetlb.account(-unused);
}
