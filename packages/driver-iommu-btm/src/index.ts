import { defineSecondaryMmu, SmmuV3 } from "@mmu-notifier/sdk";
import { declarations, decideUpgrade, DEFAULT_OPTIONS, type IommuBtmOptions } from "./config.js";
import { bind } from "./driver.js";

export type { IommuBtmOptions } from "./config.js";

/** An IOMMU whose IOTLB hears the CPUs' broadcast TLB maintenance (SMMUv3 with IDR0.BTM = 1 and CR2.PTM = 0), sharing the CPU's ASID. */
export default defineSecondaryMmu<SmmuV3, IommuBtmOptions>({
  name: "iommu-btm",
  sdk: 1,
  summary: "IOMMU with broadcast TLB maintenance, shared CPU page tables and pinned CPU ASIDs",
  options: DEFAULT_OPTIONS,
  declares: declarations,
  decides: (host, options) => decideUpgrade(host, options),
  device: (context) => {
    const smmu = new SmmuV3(context);
    smmu.listen(context, context.options.dvm);
    return smmu;
  },
  create: bind,
});
