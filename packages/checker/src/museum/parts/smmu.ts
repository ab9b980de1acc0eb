import {
  defineSecondaryMmu,
  pageRange,
  phases,
  type SecondaryMmuDefinition,
  SMMU_V3_DEFAULTS,
  SmmuV3,
  type SmmuV3Options,
  SvaDomain,
} from "@mmu-notifier/sdk";

/** Which of the two caches of an SMMU with ATS is emptied first. */
export type InvalidationOrder = "tlb-then-atc" | "atc-then-tlb";

/** An SMMU with a command queue whose masters have translation caches of their own (ATS), driven through the hook. */
export function smmuWithAts(order: InvalidationOrder): SecondaryMmuDefinition<SmmuV3, SmmuV3Options> {
  return defineSecondaryMmu<SmmuV3, SmmuV3Options>({
    name: "smmu-ats",
    sdk: 1,
    summary: `SMMUv3 with ATS, ${order}`,
    options: { ...SMMU_V3_DEFAULTS, ats: true, hitPolicy: "fault-from-tlb", atcHitPolicy: "fault-from-tlb" },
    declares: {
      pageTable: "shared-walk",
      onMissingRight: "fault",
      resolvesFaultsInSoftware: false,
      reachedByBroadcast: [],
      filters: [],
      ats: true,
    },
    device: (context) => new SmmuV3(context),
    create(context) {
      const { device: smmu, notifications } = context;
      const domain = new SvaDomain(context, smmu, smmu.asids.alloc(), 1);
      return {
        translation: domain.translation(),
        connection: notifications
          .pipe(phases("invalidate-range", "arch-invalidate-secondary-tlbs"))
          .subscribe((notification) =>
            notification.waitUntil(function* () {
              const { start, end } = pageRange(notification);
              if (order === "atc-then-tlb") yield* domain.invalidateAtcs(start, end);
              yield* domain.invalidateTlb(start, end);
              if (order === "tlb-then-atc") yield* domain.invalidateAtcs(start, end);
            }),
          ),
        fault: domain.faultStrategy(),
        unbind: () => domain.release(),
        entries: () => domain.entries(),
      };
    },
  });
}
