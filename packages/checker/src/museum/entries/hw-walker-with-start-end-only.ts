import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { iommu } from "../parts/iommu.js";
import { unmapPage } from "../parts/kernel-paths.js";

export const hwWalkerWithStartEndOnly: MuseumEntry = {
  id: "hw-walker-with-start-end-only",
  number: "C10",
  year: "2023",
  title: "a driver of a hardware walker listens to start and end instead of the hook",
  source: "series of 1af5a8109904, mmu_notifiers: rename invalidate_range notifier",
  class: "wrong order: before the change, or after the free",
  swaps: "driver",
  story:
    "Hardware that walks the CPU's page table refills its cache whenever it likes. What start drops is back before the entry is cleared; " +
    "what end drops may have been used after the page was freed. Only the hook comes between the two.",
  scenario:
    "munmap on the real bus, with the architecture's flush that calls the hook, against an IOTLB over the page table. The driver is exchanged: it drops in start and end, or in the hook.",
  expect: [{ verdict: "STALE-USE", object: "page 0", steps: 16 }],
  model: (variant) => {
    const scene = new Scene();
    scene.map(0);
    const device = scene.device(
      iommu({ hears: variant === "buggy" ? ["start", "end"] : ["arch-invalidate-secondary-tlbs"] }),
    );
    scene.accesses(device, 0, "write");
    scene.task("cpu0", function* () {
      yield* unmapPage(scene, 0);
      return null;
    });
    return scene.model("munmap against a hardware walker", { reached: () => device.binding.entries().length > 0 });
  },
};
