import { call, type Path } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { coldOrPageout } from "./cold-or-pageout.js";

/** MADV_COLD of pages [start, end) of `vma`: not used lately, first to go. mmap_lock held for reading. Tells nobody. 0 or -errno. */
export function madviseCold(k: Kernel, cpu: number, vma: number, start: number, end: number): Path<number> {
  return call("madvise_cold", coldOrPageout(k, cpu, vma, start, end, false));
}
