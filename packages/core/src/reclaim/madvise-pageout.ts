import { call, type Path } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { coldOrPageout } from "./cold-or-pageout.js";

/** MADV_PAGEOUT of pages [start, end) of `vma`: reclaimed now, if this process alone maps them. mmap_lock held for reading. 0 or -errno. */
export function madvisePageout(k: Kernel, cpu: number, vma: number, start: number, end: number): Path<number> {
  return call("madvise_pageout", coldOrPageout(k, cpu, vma, start, end, true));
}
