import type { Variant } from "@mmu-notifier/script";

/** The shipped drivers, in the ways that differ. */
export const VARIANTS: readonly Variant[] = [
  { title: "ARM SMMU without BTM", driver: "arm-smmu", options: "" },
  { title: "IOMMU with BTM", driver: "iommu-btm", options: "" },
  { title: "IOMMU with BTM, ATS device", driver: "iommu-btm", options: "ats" },
  { title: "KVM-style shadow", driver: "kvm", options: "" },
];

/** Before the patch, the patch as written, the patch repaired, what mainline did. */
export const KERNELS = ["v6.4", "v6.4+upgrade-event", "v6.4+upgrade-event-fixed", "v6.12"] as const;
