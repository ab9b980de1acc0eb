import {
  answering,
  type Binding,
  type BindingContext,
  flushes,
  type Path,
  phases,
  type SmmuV3,
  step,
  SvaDomain,
} from "@mmu-notifier/sdk";
import { type BindingMode, chooseAsid } from "./binding-mode.js";
import { decideUpgrade, type IommuBtmOptions, reaches } from "./config.js";

type Context = BindingContext<SmmuV3, IommuBtmOptions>;

/** Connects an IOMMU that hears broadcast TLB maintenance to an address space, under the CPU's ASID if that can be pinned. */
export function bind(context: Context): Binding {
  const mode = chooseAsid(context);
  const domain = new SvaDomain(context, context.device, mode.asid, mode.shared ? 0 : 1);
  const decision = decideUpgrade(context.host, context.options, mode.shared);
  const invalidate = (start: number, end: number): Path => invalidateWhole(domain, start, end);
  return {
    translation: domain.translation(),
    connection: subscribe(context, domain, mode, decision.protectionUpgrade === "filter"),
    fault: domain.faultStrategy(
      context.options.invalidateOnSpurious ? ({ vpn }) => invalidate(vpn, vpn + 1) : undefined,
    ),
    unbind: () => unbind(context, domain, mode),
    entries: () => domain.entries(),
    tables: () => domain.tables(),
    decision,
  };
}

/** TLBI and ATC_INV, as an IOMMU needs that hears nothing. */
function* invalidateWhole(domain: SvaDomain, start: number, end: number): Path {
  yield* domain.invalidateTlb(start, end);
  yield* domain.invalidateAtcs(start, end);
}

/** Joins the list for what is left to do by command; nothing but release where broadcasts do the rest. */
function subscribe(
  context: Context,
  domain: SvaDomain,
  mode: BindingMode,
  filtersUpgrades: boolean,
): NonNullable<Binding["connection"]> {
  const { host, notifications, options } = context;
  const heard = mode.shared && reaches(host, "ordinary");
  // The hook does not say why it is called: where any of its calls is not backed by a broadcast, all of them need a TLBI.
  const tellsUpgrades = host.hookOnUpgrade || (host.upgradeEvent && host.hookFromRangeEnd);
  const upgradesNeedTlbi = tellsUpgrades && !filtersUpgrades && !(mode.shared && reaches(host, "upgrade"));
  // An ATC refills from the IOTLB: where the hook runs before the CPU's DSB, or from range_end and so before the CPU's flush (fork), the
  // broadcast may not have taken effect yet.
  const early = host.hookBeforeCompletion || host.hookFromRangeEnd;
  const tlbi = !heard || upgradesNeedTlbi || (options.ats && early);
  const wanted = tlbi || options.ats ? flushes() : phases("release");
  return notifications.pipe(wanted).subscribe(
    answering({
      *invalidate(start, end) {
        if (tlbi) yield* domain.invalidateTlb(start, end);
        yield* domain.invalidateAtcs(start, end);
      },
      release: () => domain.release(),
    }),
  );
}

/** The ASID goes back only when nothing carries it: pinned ids to the CPUs, private ones to the pool. */
function* unbind({ asids, device: smmu, mm }: Context, domain: SvaDomain, mode: BindingMode): Path {
  yield* domain.release();
  yield step("asid: put", () => {
    const { asid } = domain.cd;
    domain.cd.clear();
    if (mode.shared) asids.unpin(mm.id);
    if (!asids.isPinned(mm.id)) smmu.asids.free(asid);
    return 0;
  });
}
