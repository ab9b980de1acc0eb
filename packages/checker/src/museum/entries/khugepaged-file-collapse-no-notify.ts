import { spinLock, spinUnlock } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { shadowMmu } from "../parts/shadow-driver.js";

export const khugepagedFileCollapseNoNotify: MuseumEntry = {
  id: "khugepaged-file-collapse-no-notify",
  number: "C1",
  year: "2022",
  title: "khugepaged takes file mappings away and tells no notifier",
  source: "f268f6cf875f mm/khugepaged: invoke MMU notifiers in shmem/file collapse paths",
  class: "missing notification",
  swaps: "kernel",
  story:
    "When khugepaged collapses the pages of a file into a huge page, it clears the entries of everybody who maps them and flushes the CPUs' TLBs. " +
    "It did not call start and end. A guest keeps its mapping of a small page, which is freed.",
  scenario:
    "A device with a table of its own, filled, on the bus of v6.1, where the CPUs' flush calls no hook. The kernel's path is exchanged: collapse without a bracket, or with one.",
  expect: [{ verdict: "STALE-USE", object: "page 0", steps: 11 }],
  model: (variant) => {
    const scene = new Scene({ kernel: "v6.1" });
    scene.map(0);
    const device = scene.device(shadowMmu());
    while (device.binding.entries().length === 0) scene.run(scene.access(device, 0, "read"));
    scene.accesses(device, 0, "write");
    scene.task("khugepaged", function* () {
      const range = scene.range(0, 4);
      if (variant === "fixed") yield* scene.start(range);
      yield spinLock(scene.ptl(0));
      const small = yield scene.clear(0);
      yield* scene.flush(0, 4);
      const huge = yield scene.alloc();
      yield scene.copy(small, huge);
      yield scene.set(0, huge);
      yield spinUnlock(scene.ptl(0));
      if (variant === "fixed") yield* scene.end(range);
      yield scene.free(small);
      yield scene.returns("collapse_file", 0);
      return null;
    });
    return scene.model("a collapse under a guest", { reached: () => scene.oracle.frameOf(scene.mm, 0) !== 2 });
  },
};
