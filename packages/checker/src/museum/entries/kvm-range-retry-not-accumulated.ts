import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { unmapPage } from "../parts/kernel-paths.js";
import { LastRangeCounters } from "../parts/retry-counters.js";
import { shadowMmu } from "../parts/shadow-driver.js";

export const kvmRangeRetryNotAccumulated: MuseumEntry = {
  id: "kvm-range-retry-not-accumulated",
  number: "B5",
  year: "2021",
  title: "a second invalidation overwrites the range that faults are held against",
  source: "4a42d848db95 KVM: x86/mmu: Consider the hva in mmu_notifier retry (review of v4)",
  class: "missed range in the retry check",
  swaps: "driver",
  story:
    "To spare unrelated faults a retry, KVM keeps the range that is being invalidated. With two invalidations under way the first range has to stay covered until both have ended; " +
    "a driver that keeps only the newer one lets a fault in the older range through, before that page is unmapped.",
  scenario:
    "Two overlapping start and end on the real bus: one takes page 1 away, the other announces page 9 and changes nothing. " +
    "The driver's counters are exchanged: the last range, or the real InvalidateCounters, which keep the hull.",
  expect: [{ verdict: "STALE-USE", object: "page 1", steps: 24 }],
  model: (variant) => {
    const scene = new Scene();
    scene.map(1);
    const device = scene.device(
      shadowMmu(variant === "buggy" ? { counters: (context) => new LastRangeCounters(context) } : {}),
    );
    scene.accesses(device, 1, "write");
    scene.task("cpu0", function* () {
      yield* unmapPage(scene, 1);
      return null;
    });
    scene.task("cpu1", function* () {
      const range = scene.range(9);
      yield* scene.start(range);
      yield* scene.end(range);
      return null;
    });
    return scene.model("a fault between two invalidations", { reached: () => device.binding.entries().length > 0 });
  },
};
