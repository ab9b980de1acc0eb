import {
  answering,
  type Binding,
  type BindingContext,
  exceptEvents,
  flushes,
  type Path,
  phases,
  type SmmuV3,
  step,
  SvaDomain,
} from "@mmu-notifier/sdk";
import type { ArmSmmuOptions } from "./config.js";
import { invalidate } from "./invalidate.js";

/** arm_smmu_sva_set_dev_pasid(): connects an SMMU to an address space under a private ASID. */
export function bind(context: BindingContext<SmmuV3, ArmSmmuOptions>): Binding {
  const { device: smmu, notifications, options } = context;
  const domain = new SvaDomain(context, smmu, smmu.asids.alloc(), 1);
  const experiment = options.experimentalStartEnd || options.experimentalFilter.length > 0;
  const wanted = experiment
    ? notifications.pipe(phases("end", "release"), exceptEvents(...options.experimentalFilter))
    : notifications.pipe(flushes());
  return {
    translation: domain.translation(),
    // Every call means "entries in this range may be stale"; none says why.
    connection: wanted.subscribe(
      answering({
        invalidate: (start, end) => invalidate(domain, start, end),
        release: () => domain.release(),
      }),
    ),
    fault: domain.faultStrategy(
      options.invalidateOnSpurious ? ({ vpn }) => invalidate(domain, vpn, vpn + 1) : undefined,
    ),
    unbind: () => unbind(smmu, domain),
    entries: () => domain.entries(),
    tables: () => domain.tables(),
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
