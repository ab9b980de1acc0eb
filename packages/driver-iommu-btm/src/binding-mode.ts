import { type BindingContext, OPCODES, mnemonicOf, SdkError, type SmmuV3 } from "@mmu-notifier/sdk";
import type { IommuBtmOptions } from "./config.js";

/** The ASID of a binding and whether broadcasts match it. */
export interface BindingMode {
  readonly asid: number;
  readonly shared: boolean;
}

/**
 * arm64_mm_context_get() and arm_smmu_share_asid(): pins the CPU's id of the mm; a private descriptor that has that number gets
 * another first. When nothing can be pinned: a private id, or an error.
 */
export function chooseAsid(context: BindingContext<SmmuV3, IommuBtmOptions>): BindingMode {
  const { asids, device: smmu, mm, name, options } = context;
  const pinned = asids.pin(mm.id);
  if (pinned !== 0) {
    makeWay(context, pinned);
    smmu.asids.reserve(pinned);
    return { asid: pinned, shared: true };
  }
  if (!options.fallbackToPrivateAsid) {
    throw new SdkError(
      "SDK_BIND_FAILED",
      `${name}: no CPU address-space id is left to pin for mm ${mm.id}. Unbind another address space, or set fallbackToPrivateAsid`,
      {
        device: name,
        mm: mm.id,
      },
    );
  }
  return { asid: smmu.asids.alloc(), shared: false };
}

/** A private descriptor with the wanted number moves: new ASID, descriptor rewritten, TLBI of the old one. At set-up. */
function makeWay({ costs, device: smmu }: BindingContext<SmmuV3, IommuBtmOptions>, asid: number): void {
  for (const cd of smmu.descriptors) {
    if (cd.shared || cd.dead || cd.asid !== asid) continue;
    cd.write(smmu.asids.alloc(), 1);
    smmu.iotlb.invalidateASID(asid);
    costs.command(mnemonicOf(OPCODES.CMD_CFGI_CD));
    costs.command(mnemonicOf(OPCODES.CMD_TLBI_NH_ASID));
    costs.command(mnemonicOf(OPCODES.CMD_SYNC), 2);
    costs.count("syncs", 2);
  }
}
