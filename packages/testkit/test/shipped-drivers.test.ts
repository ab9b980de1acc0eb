import armSmmu from "@mmu-notifier/driver-arm-smmu";
import iommuBtm from "@mmu-notifier/driver-iommu-btm";
import kvm from "@mmu-notifier/driver-kvm";
import { secondaryMmuSuite } from "../src/index.js";

secondaryMmuSuite({ driver: armSmmu });
secondaryMmuSuite({ driver: armSmmu, title: "arm-smmu with ATS", options: { ats: true }, interleavingKernels: [] });
secondaryMmuSuite({ driver: iommuBtm });
// The scenarios bring their own devices with ATS.
secondaryMmuSuite({ driver: iommuBtm, title: "iommu-btm with ATS", options: { ats: true }, interleavingKernels: [] });
secondaryMmuSuite({ driver: kvm });
secondaryMmuSuite({
  driver: kvm,
  title: "kvm that does not filter",
  options: { filter: false },
  interleavingKernels: [],
});
