import { InvalidateCounters } from "@mmu-notifier/sdk";
import { waitFor } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { unmapPage } from "../parts/kernel-paths.js";
import { shadowMmu } from "../parts/shadow-driver.js";

const COUNT = "mmu_invalidate_in_progress";

export const kvmMemslotChangeBetweenStartEnd: MuseumEntry = {
  id: "kvm-memslot-change-between-start-end",
  number: "B6",
  year: "2021",
  title: "memory is added between start and end, so end takes back what start never counted",
  source: "52ac8b358b0c KVM: Block memslot updates across range_start() and range_end(), 071064f14d87",
  class: "start and end out of balance",
  swaps: "driver",
  story:
    "KVM skips its lock, and its count, for ranges in which the guest has no memory. If memory is added between start and end, end sees it and start did not: the count goes to -1. " +
    "The next invalidation brings it to 0, and a fault during that one believes that nothing is under way.",
  scenario:
    "The real InvalidateCounters on the real bus: one bracket that changes nothing, then one that takes page 0 away, while a slot is added and a guest faults. " +
    "The driver is exchanged: the slot appears at once, or waits until no start is without its end.",
  expect: [
    { verdict: "IMBALANCE", object: COUNT, steps: 8 },
    { verdict: "STALE-USE", object: "page 0", steps: 27 },
  ],
  model: (variant) => {
    const scene = new Scene();
    scene.map(0);
    const slot = scene.word("memslot");
    const waits = variant === "fixed";
    let counters!: InvalidateCounters;
    const device = scene.device(
      shadowMmu({
        slot: { exists: () => slot.get() !== 0, freezes: true },
        counters: (context) => (counters = new InvalidateCounters(context, { seqBits: 2 })),
      }),
    );
    scene.task("cpu0", function* () {
      const range = scene.range(0);
      yield* scene.start(range);
      yield* scene.end(range);
      yield* unmapPage(scene, 0);
      return null;
    });
    scene.task("vmm", function* () {
      yield waitFor(
        "KVM_SET_USER_MEMORY_REGION",
        () => !waits || counters.mnActive === 0,
        () => {
          slot.set(1);
          return 0;
        },
      );
      return null;
    });
    scene.task(
      "dev0",
      function* (started: number) {
        if (started === 0) yield waitFor("the guest has memory", () => slot.get() !== 0);
        return (yield* scene.access(device, 0, "write")) === 0 ? [1] : null;
      },
      { locals: [0] },
    );
    return scene.model("a slot is added while invalidations are under way", {
      invariants: [{ name: COUNT, verdict: "IMBALANCE", holds: () => counters.inProgress >= 0 }],
      reached: () => device.binding.entries().length > 0,
    });
  },
};
