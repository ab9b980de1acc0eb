import type { Path } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import { type MmuGather, tlbGatherMmu } from "../tlb/mmu-gather.js";

/** The gather that a change of hugetlb entries makes for itself, in kernels where it does. */
export function* hugetlbGather(k: Kernel, cpu: number, mm: number): Path<MmuGather | undefined> {
  const { hugetlbGathers } = k.profile;
  const gathers = hugetlbGathers === "always" || hugetlbGathers === k.arch.name;
  return gathers ? yield* tlbGatherMmu(k, cpu, mm) : undefined;
}
