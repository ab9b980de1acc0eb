import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { unmapPage } from "../parts/kernel-paths.js";
import { smmuWithAts } from "../parts/smmu.js";

export const smmuAtcBeforeTlbi: MuseumEntry = {
  id: "smmu-atc-before-tlbi",
  number: "F1",
  year: "2019",
  title: "the device's cache is invalidated before the SMMU's, and is refilled from it",
  source: "iommu/arm-smmu-v3: Fix ATC invalidation ordering wrt main TLBs",
  class: "wrong order of TLBI and ATC_INV",
  swaps: "driver",
  story:
    "A device with ATS asks the SMMU for translations and keeps them in a cache of its own. The driver invalidated that cache first and the SMMU's TLB second. " +
    "In between the device asks again, gets the old entry from the SMMU's TLB, and keeps it after both invalidations are done and the page is freed.",
  scenario:
    "Two levels of caches with an SMMUv3's command queue: ATC, IOTLB, walker. The driver is exchanged: ATC_INV and CMD_SYNC before TLBI and CMD_SYNC, or after.",
  expect: [{ verdict: "STALE-USE", object: "page 0", steps: 21 }],
  model: (variant) => {
    const scene = new Scene();
    scene.map(0);
    const device = scene.device(smmuWithAts(variant === "buggy" ? "atc-then-tlb" : "tlb-then-atc"));
    scene.run(scene.access(device, 0, "read"));
    scene.task("cpu0", function* () {
      yield* unmapPage(scene, 0);
      return null;
    });
    scene.accesses(device, 0, "read");
    return scene.model("munmap against a device with ATS", { reached: () => scene.oracle.pte(scene.mm, 0) === 0 });
  },
};
