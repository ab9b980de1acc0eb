import {
  abortOnFault,
  chain,
  defineSecondaryMmu,
  iotlb,
  type MmuNotification,
  PAGE_SIZE,
  phases,
  type SecondaryMmuDefinition,
} from "@mmu-notifier/sdk";
import { choose, type Path, spinUntil, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry, Variant } from "../entry.js";

const FIRST = 1;
const PAGES = 2;
const TAG = 1;
/** Commands after which a callback for two pages is taken for one that never ends. */
const BOUND = 8;
const CALLBACK = "callback of dev0";

export const smmuEndInclusiveSize: MuseumEntry = {
  id: "smmu-end-inclusive-size",
  number: "F2",
  year: "2022",
  title: "the end of a range is taken for its last byte, and the loop over it does not advance",
  source: "95d4782c34a6 iommu/arm-smmu-v3: Fix size calculation in arm_smmu_mm_invalidate_range()",
  class: "range arithmetic",
  swaps: "driver",
  story:
    "The mm's ranges end behind their last byte. The driver computed end - start + 1, a size that is no multiple of a page, and took its step from the lowest bit of it: less than a page. " +
    "The loop that issues one command a step never comes to its end, under a spinlock. The opposite mistake, end - 1, leaves the last page out.",
  scenario: `The hook of the real bus for two pages; a callback that issues more than ${BOUND} commands is cut short and counts as endless. The driver is exchanged: end - start + 1 or end - start - 1, both are tried; or end - start.`,
  expect: [
    { verdict: "LIVELOCK", object: CALLBACK, steps: 14 },
    { verdict: "MISSED-RANGE", object: "page 2", steps: 10 },
    { verdict: "STALE-USE", object: "page 2", steps: 14 },
  ],
  model: (variant) => {
    const scene = new Scene();
    const frames = [scene.map(FIRST), scene.map(FIRST + 1)];
    const device = scene.device(smmu(scene, variant));
    for (const page of [FIRST, FIRST + 1]) scene.run(scene.access(device, page, "read"));
    scene.task("cpu0", function* () {
      for (const page of [FIRST, FIRST + 1]) yield scene.clear(page);
      yield* scene.flush(FIRST, PAGES);
      yield scene.expectDropped(FIRST, PAGES);
      for (const pfn of frames) yield scene.free(pfn);
      return null;
    });
    scene.accesses(device, FIRST + 1, "read");
    return scene.model("two pages are invalidated", { reached: () => scene.oracle.pte(scene.mm, FIRST) === 0 });
  },
};

function smmu(scene: Scene, variant: Variant): SecondaryMmuDefinition {
  return defineSecondaryMmu({
    name: "smmu",
    sdk: 1,
    summary: "an IOTLB that is invalidated command by command",
    declares: {
      pageTable: "shared-walk",
      onMissingRight: "fault",
      resolvesFaultsInSoftware: false,
      reachedByBroadcast: [],
      filters: [],
    },
    create(context) {
      const { notifications, walker } = context;
      const tlb = iotlb(context, { sets: 1, ways: 4, hitPolicy: "fault-from-tlb" });
      return {
        translation: chain(
          tlb.stage(() => TAG, walker),
          walker,
        ),
        connection: notifications
          .pipe(phases("arch-invalidate-secondary-tlbs"))
          .subscribe((notification: MmuNotification) => notification.waitUntil(() => invalidate(notification))),
        fault: abortOnFault(),
        *unbind() {
          yield step("tlbi all", () => tlb.invalidateAll());
        },
        entries: () => tlb.entries(TAG),
      };

      function* invalidate({ start, end }: MmuNotification): Path {
        const mistake = variant === "fixed" ? 0 : 1 - 2 * (yield choose("which mistake", 2));
        const size = end - start + mistake;
        // One byte too many gives a step of no page at all.
        const granule = mistake > 0 ? Math.floor((size & -size) / PAGE_SIZE) : 1;
        let commands = 0;
        for (let page = start / PAGE_SIZE; (page + 1) * PAGE_SIZE <= start + size; page += granule) {
          if (++commands > BOUND) {
            yield step("the watchdog bites", () => {
              scene.oracle.record(
                "LIVELOCK",
                CALLBACK,
                `the callback has issued ${BOUND} commands for ${PAGES} pages and is where it began`,
              );
              return tlb.invalidateAll();
            });
            break;
          }
          yield step(`tlbi page ${page}`, () => tlb.invalidateVA(TAG, page));
        }
        yield spinUntil("CMD_SYNC", () => tlb.drained);
      }
    },
  });
}
