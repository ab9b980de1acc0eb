import {
  type Binding,
  type BindingContext,
  exceptEvents,
  type MmuNotification,
  type Path,
  phases,
  type SmmuV3,
  step,
  SvaDomain,
} from "@mmu-notifier/sdk";
import type { ArmSmmuOptions } from "./config.js";
import { answer, invalidate } from "./invalidate.js";

/** arm_smmu_sva_set_dev_pasid(): connects an SMMU to an address space under a private ASID. */
export function bind(context: BindingContext<SmmuV3, ArmSmmuOptions>): Binding {
  const { device: smmu, notifications, options } = context;
  const domain = new SvaDomain(context, smmu, smmu.asids.alloc(), 1);
  const experiment = options.experimentalStartEnd || options.experimentalFilter.length > 0;
  const wanted = experiment
    ? notifications.pipe(phases("end", "release"), exceptEvents(...options.experimentalFilter))
    : notifications.pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs", "release"));
  return {
    translation: domain.translation(),
    connection: wanted.subscribe((notification: MmuNotification) => answer(context, domain, notification)),
    fault: domain.faultStrategy(
      options.invalidateOnSpurious ? ({ vpn }) => invalidate(domain, vpn, vpn + 1) : undefined,
    ),
    unbind: () => unbind(smmu, domain),
    entries: () => domain.entries(),
  };
}

/** The ASID goes back to the pool only when nothing in a TLB carries it. */
function* unbind(smmu: SmmuV3, domain: SvaDomain): Path {
  yield* domain.release();
  yield step("asid: free", () => {
    domain.cd.clear();
    smmu.asids.free(domain.cd.asid);
    return 0;
  });
}
