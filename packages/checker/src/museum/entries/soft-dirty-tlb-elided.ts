import { flushTlbMm, pteClearSoftDirty, pteMksoftDirty, PTE_SOFT_DIRTY, tlbGatherMmu } from "@mmu-notifier/core";
import { type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { READ_WRITE } from "../../scene/entry-flags.js";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry, Variant } from "../entry.js";

const VALUE = 9;

export const softDirtyTlbElided: MuseumEntry = {
  id: "soft-dirty-tlb-elided",
  number: "C4",
  year: "2021",
  title: "clear_refs leaves its flush to a gather that has nothing to flush",
  source: "912efa17e512 mm: proc: Invalidate TLB after clearing soft-dirty page state; regression of 0758cd830494",
  class: "flush elision, lost dirty",
  swaps: "kernel",
  story:
    "Clearing the soft-dirty bits write-protects the pages, so that the next write faults and sets the bit again. The flush was left to mmu_gather, which flushes what was put into it: nothing. " +
    "A thread with a writable entry in its TLB writes without a fault, the bit stays clear, and a checkpoint leaves the page out.",
  scenario:
    "The project's own mmu_gather, page tables and CPU TLBs. The kernel's path is exchanged: the gather alone, or a flush of the whole mm.",
  expect: [
    { verdict: "LOST-DIRTY", object: "page 0", steps: 10 },
    { verdict: "STALE-PERM", object: "page 0", steps: 10 },
  ],
  model: (variant) => {
    const scene = new Scene();
    const { mm, oracle } = scene;
    const over = scene.word("clear_refs has returned");
    scene.map(0, pteMksoftDirty(READ_WRITE));
    scene.run(
      (function* () {
        yield scene.cpuAccess(1, 0, "write", 1);
      })(),
    );
    scene.task("cpu0", function* () {
      yield* clearRefs(scene, variant);
      yield step("write(clear_refs) returns", (task) => {
        scene.returns("clear_refs", 0).run(task);
        oracle.wrote(mm, 0, 0);
        over.set(1);
        return 0;
      });
      return null;
    });
    scene.task("cpu1", function* () {
      yield scene.cpuAccess(1, 0, "write", VALUE);
      return null;
    });
    return scene.model("clear_refs against a writer", {
      invariants: [
        {
          name: "page 0",
          verdict: "LOST-DIRTY",
          holds: () => over.get() === 0 || oracle.written(mm, 0) === 0 || (oracle.pte(mm, 0) & PTE_SOFT_DIRTY) !== 0,
        },
      ],
      reached: () => over.get() !== 0,
    });
  },
};

function* clearRefs(scene: Scene, variant: Variant): Path {
  const { k, mm } = scene;
  const range = scene.range(0, 1, "MMU_NOTIFY_SOFT_DIRTY");
  const tlb = yield* tlbGatherMmu(k, 0, mm);
  yield* scene.start(range);
  yield spinLock(scene.ptl(0));
  yield scene.change("clear_soft_dirty", 0, (pte) => pteClearSoftDirty(k.pte.wrprotect(pte)));
  yield spinUnlock(scene.ptl(0));
  if (variant === "fixed") yield* flushTlbMm(k, 0, mm);
  yield* scene.end(range);
  yield* tlb.finish();
}
