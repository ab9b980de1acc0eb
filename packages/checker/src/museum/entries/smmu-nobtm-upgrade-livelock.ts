import { WRITABLE_CLEAN } from "../../scene/entry-flags.js";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { iommu } from "../parts/iommu.js";
import { writableMapping } from "../parts/mappings.js";

/** The patch that this project models. */
export const smmuNobtmUpgradeLivelock: MuseumEntry = {
  id: "smmu-nobtm-upgrade-livelock",
  number: "A1",
  year: "2023",
  title: "an SMMU without BTM serves a read-only entry for ever after the CPU upgraded the page",
  source: "A. Popple, patch of 21 May 2023; in mainline as 6bbd42e2df8f",
  class: "missing notification",
  swaps: "kernel",
  story:
    "A device reads a page that is writable but clean, and its IOTLB keeps the entry as read-only. The device writes, and faults. " +
    "ptep_set_access_flags() makes the entry writable in place and flushes the CPU's TLB, which an SMMU without broadcast TLB maintenance does not hear. " +
    "The fault is answered with success, the device tries again, hits the old entry, and faults again.",
  scenario:
    "Real fault path on real page tables; an IOTLB that faults from the cached entry, and a driver that hears invalidate_range. " +
    "The kernel is exchanged: v6.4 says nothing, v6.4+upgrade-event sends MMU_NOTIFY_PROTECTION_UPGRADE, and its end reaches invalidate_range.",
  expect: [{ verdict: "LIVELOCK", object: "dev0", steps: 28 }],
  explore: { liveness: "task" },
  model: (variant) => {
    const scene = new Scene({ kernel: variant === "buggy" ? "v6.4" : "v6.4+upgrade-event" });
    const page = writableMapping(scene, WRITABLE_CLEAN);
    return upgradedUnderDevice(scene, page);
  },
};

/** A device reads a page and then writes it, however often it takes. */
export function upgradedUnderDevice(scene: Scene, page: number) {
  const device = scene.device(iommu({ hears: ["invalidate-range", "arch-invalidate-secondary-tlbs"] }), {
    faults: scene.kernelFaults(),
  });
  scene.run(scene.access(device, page, "read"));
  scene.accesses(device, page, "write");
  return scene.model("a device writes a page that it has cached as read-only", {
    reached: () => device.binding.entries().some(({ write }) => !write),
  });
}
