import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { unmapPage } from "../parts/kernel-paths.js";
import { type Mirror, mirror } from "../parts/mirror.js";

export const intervalSetSeqSkipped: MuseumEntry = {
  id: "interval-set-seq-skipped",
  number: "C20",
  year: "2019",
  title: "an invalidate callback returns early, without mmu_interval_set_seq()",
  source: "derived: the rule in the comment of mmu_interval_read_begin()",
  class: "missing retry check",
  swaps: "driver",
  story:
    "A driver's invalidate sees that nothing is mapped in the range and returns at once. But a fault of its own is between look-up and install: " +
    "it asks mmu_interval_read_retry(), the sequence has not moved, and it installs a page that is gone.",
  scenario:
    "The real interval notifiers of the bus, with a sequence of three bits. The driver is exchanged: it sets the sequence when it has something to zap, or always.",
  expect: [{ verdict: "STALE-USE", object: "page 0", steps: 21 }],
  model: (variant) => {
    const scene = new Scene({ bus: { invalidateSeqBits: 3 } });
    scene.map(0);
    let made!: Mirror;
    const rules = { setsSeq: variant === "buggy" ? "when-mapped" : "always" } as const;
    const device = scene.device(mirror(rules, (it) => (made = it)));
    scene.run(made.insert());
    scene.accesses(device, 0, "write");
    scene.task("cpu0", function* () {
      yield* unmapPage(scene, 0);
      return null;
    });
    return scene.model("munmap against a mirror", { reached: () => made.count() > 0 });
  },
};
