import {
  chain,
  defineSecondaryMmu,
  exceptEvents,
  iotlb,
  phases,
  type SecondaryMmuDefinition,
  softwareFault,
  step,
} from "@mmu-notifier/sdk";

const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";

/** A device that walks the CPU's tables and never walks again for an entry that forbids. `filters`: it ignores upgrades. */
export function testDriver(kind: "listens" | "filters", throws = false): SecondaryMmuDefinition {
  const filters = kind === "filters" ? ([UPGRADE] as const) : [];
  return defineSecondaryMmu({
    name: kind,
    sdk: 1,
    summary: "a test device",
    declares: {
      pageTable: "shared-walk",
      onMissingRight: "fault",
      resolvesFaultsInSoftware: false,
      reachedByBroadcast: [],
      filters,
    },
    create(context) {
      const { mm, walker, notifications } = context;
      const tlb = iotlb(context, { sets: 16, ways: 4, hitPolicy: "fault-from-tlb" });
      return {
        translation: chain(
          tlb.stage(() => mm.asid(), walker),
          walker,
        ),
        connection: notifications.pipe(phases("end"), exceptEvents(...filters)).subscribe((notification) => {
          const { start, end } = notification;
          if (throws) throw new Error("no room in the queue");
          notification.waitUntil(function* () {
            yield step("drop", () => tlb.invalidateRange(mm.asid(), start / 4096, end / 4096));
          });
        }),
        fault: softwareFault(context, context.faults),
        *unbind() {
          yield step("drop everything", () => tlb.invalidateASID(mm.asid()));
        },
        entries: () => tlb.entries(mm.asid()),
      };
    },
  });
}
