import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { unmapPage } from "../parts/kernel-paths.js";
import { shadowMmu } from "../parts/shadow-driver.js";

export const kvmNoRetryCheck: MuseumEntry = {
  id: "kvm-no-retry-check",
  number: "B1",
  year: "2008",
  title: "a fault installs an entry for a page that was taken away while the fault was in flight",
  source: "the race for which the sequence and the count were invented: e930bffe95e1",
  class: "refill race, missing retry check",
  swaps: "driver",
  story:
    "A guest faults, and KVM looks the host's page up without keeping a reference. Before the entry is installed the host unmaps the page: " +
    "start finds nothing to zap, the page is freed, end. Then the fault installs the frame that is no longer the guest's.",
  scenario:
    "A driver with a table of its own on the real bus, with the real counters. The driver is exchanged: it installs at once, or samples the sequence " +
    "before the lookup and asks under mmu_lock whether an invalidation is under way or has ended since.",
  expect: [{ verdict: "STALE-USE", object: "page 0", steps: 19 }],
  model: (variant) => {
    const scene = new Scene();
    scene.map(0);
    const device = scene.device(shadowMmu({ retryCheck: variant === "fixed" }));
    scene.accesses(device, 0, "write");
    scene.task("cpu0", function* () {
      yield* unmapPage(scene, 0);
      return null;
    });
    return scene.model("munmap against a fault of a guest", {
      reached: () => device.binding.entries().length > 0,
    });
  },
};
