import { defineSecondaryMmu, SmmuV3 } from "@mmu-notifier/sdk";
import { type ArmSmmuOptions, declarations, DEFAULT_OPTIONS } from "./config.js";
import { bind } from "./driver.js";

export type { ArmSmmuOptions } from "./config.js";

/** The Arm SMMUv3 with shared virtual addressing and without broadcast TLB maintenance, as mainline Linux drives it. */
export default defineSecondaryMmu<SmmuV3, ArmSmmuOptions>({
  name: "arm-smmu",
  sdk: 1,
  summary: "Arm SMMUv3, shared CPU page tables, private ASIDs, no broadcast TLB maintenance",
  options: DEFAULT_OPTIONS,
  declares: (_host, options) => declarations(options),
  decides: (_host, { experimentalFilter }) =>
    experimentalFilter.includes("MMU_NOTIFY_PROTECTION_UPGRADE")
      ? { protectionUpgrade: "filter", because: "experimentalFilter asks for it" }
      : {
          protectionUpgrade: "deliver",
          because: "a cached read-only entry may be served for ever, and neither RETRY nor a spurious fault removes it",
        },
  device: (context) => new SmmuV3(context),
  create: bind,
});
