import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { iommu } from "../parts/iommu.js";

export const exitFreesBeforeReleaseDone: MuseumEntry = {
  id: "exit-frees-before-release-done",
  number: "C12",
  year: "2013",
  title: "exit frees the pages while unregister is still in release",
  source: "3ad3d901bbcf, d34883d4e35c mm: mmu_notifier: re-fix freed page still mapped in secondary MMU",
  class: "use after release",
  swaps: "kernel",
  story:
    "unregister took its subscription off the list and then called release. A process that exits at that moment finds an empty list, has nobody to wait for, and frees its memory. " +
    "The device goes on through translations that release has yet to take away.",
  scenario:
    "The real bus with its SRCU: exit_mmap's release against mmu_notifier_unregister, a device behind an IOTLB. The notifier core is exchanged, by a rule of the bus: " +
    "off the list first, or release first.",
  expect: [{ verdict: "STALE-USE", object: "page 0", steps: 8 }],
  model: (variant) => {
    const scene = new Scene({ rules: { unregisterUnhashesFirst: variant === "buggy" } });
    const { k, mm } = scene;
    const pfn = scene.map(0);
    let subscription = 0;
    const device = scene.device(
      iommu({
        hears: ["arch-invalidate-secondary-tlbs", "release"],
        connected: (connection) => (subscription = k.bus.subscriptionOf(connection)),
      }),
    );
    scene.run(scene.access(device, 0, "read"));
    scene.task("exit", function* () {
      yield* k.bus.release(mm);
      yield scene.clear(0);
      yield scene.free(pfn);
      return null;
    });
    scene.task("close", function* () {
      yield* k.bus.unregister(subscription, mm);
      return null;
    });
    scene.accesses(device, 0, "write");
    return scene.model("exit against unregister", { reached: () => !k.pages.isLive(pfn) });
  },
};
