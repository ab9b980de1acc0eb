import { type MmuNotification, spinUntil, step } from "@mmu-notifier/sdk";
import type { Path } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { contextEntry, iommu } from "../parts/iommu.js";
import { unmapPage } from "../parts/kernel-paths.js";

const EMPTY = 0;
const STARTS = 1;

export const amdEmptyTableUncounted: MuseumEntry = {
  id: "amd-empty-table-uncounted",
  number: "F13",
  year: "2014",
  title: "the first end of two overlapping invalidations puts the page table back",
  source: "iommu/amd: Handle parallel invalidate_range_start/end calls correctly; the counter came with e79df31c60cf",
  class: "start and end out of balance",
  swaps: "driver",
  story:
    "The AMD driver pointed the device to an empty page table in start and back to the real one in end. With two invalidations under way the first end put the real table back, " +
    "and the device could walk, and cache, an entry that the second one had yet to clear.",
  scenario:
    "Two munmaps of different pages on the real bus, an IOTLB behind a switch of tables. The driver is exchanged: every end switches back, or the last one.",
  expect: [{ verdict: "STALE-USE", object: "page 1", steps: 30 }],
  model: (variant) => {
    const scene = new Scene();
    scene.map(0);
    const pfn = scene.map(1);
    const device = scene.device(
      iommu({
        hears: ["start", "end"],
        gate: (context) => {
          const words = context.memory.words("table", 2);
          return {
            ...contextEntry(() => words.get(EMPTY) === 0, "which table"),
            *notified({ phase }: MmuNotification, tlb): Path {
              if (phase === "start") {
                yield step("table := empty; flush", () => {
                  words.add(STARTS, 1);
                  words.set(EMPTY, 1);
                  return tlb.invalidateAll();
                });
                yield spinUntil("iotlb: accesses are through", () => tlb.drained);
              } else
                yield step("table := the real one", () => {
                  if (words.add(STARTS, -1) === 0 || variant === "buggy") words.set(EMPTY, 0);
                  return 0;
                });
            },
          };
        },
      }),
    );
    for (const [cpu, page] of [
      ["cpu0", 0],
      ["cpu1", 1],
    ] as const) {
      scene.task(cpu, function* () {
        yield* unmapPage(scene, page);
        return null;
      });
    }
    scene.accesses(device, 1, "read");
    return scene.model("two munmaps at once", { reached: () => !scene.k.pages.isLive(pfn) });
  },
};
