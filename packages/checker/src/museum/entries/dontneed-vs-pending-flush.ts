import { tlbGatherMmu } from "@mmu-notifier/core";
import { type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry, Variant } from "../entry.js";

const VALUE = 7;

export const dontneedVsPendingFlush: MuseumEntry = {
  id: "dontneed-vs-pending-flush",
  number: "D3",
  year: "2017",
  title: "MADV_DONTNEED finds the entry gone already, and returns before another thread has flushed it",
  source:
    "56236a59556c mm: refactor TLB gathering API, 99baac21e458 mm: fix MADV_[FREE|DONTNEED] TLB flush miss problem",
  class: "flush elision",
  swaps: "kernel",
  story:
    "Two threads call MADV_DONTNEED on the same page. The first clears the entry and will flush later; the second finds nothing, so it has nothing to flush, and returns. " +
    "It has promised that the next access sees a fresh page, but a third thread still reads and writes the old one through its TLB, and what it writes is lost.",
  scenario:
    "The project's own mmu_gather with its count of pending flushes, page tables and CPU TLBs. The kernel's path is exchanged: the gather flushes what it has collected, or, by tlb_finish_mmu(), everything if another gather is under way.",
  expect: [
    { verdict: "STALE-USE", object: "page 0", steps: 11 },
    { verdict: "LOST-WRITE", object: "page 0", steps: 17 },
  ],
  model: (variant) => {
    const scene = new Scene({ config: { cpus: 3 } });
    const { k, oracle } = scene;
    const pfn = scene.map(0);
    const promised = scene.word("cpu1's call has returned");
    const late = scene.word("written after it returned");
    const write = scene.cpuAccess(2, 0, "write", VALUE);
    scene.run(
      (function* () {
        yield scene.cpuAccess(2, 0, "read");
      })(),
    );
    for (const cpu of [0, 1]) {
      scene.task(`cpu${cpu}`, function* () {
        yield* dontneed(scene, cpu, variant);
        yield step("madvise returns", (task) => {
          scene.returns("madvise", 0).run(task);
          if (cpu === 1) promised.set(1);
          else if (late.get() !== 0)
            oracle.record(
              "LOST-WRITE",
              "page 0",
              "what was written after MADV_DONTNEED had returned is gone with the old page",
            );
          return 0;
        });
        return null;
      });
    }
    scene.task("cpu2", function* () {
      yield step(write.label, (task) => {
        const result = write.run(task);
        if (result >= 0 && promised.get() !== 0) late.set(1);
        return result;
      });
      return null;
    });
    return scene.model("two MADV_DONTNEED of one page", { reached: () => promised.get() !== 0 && k.pages.isLive(pfn) });
  },
};

function* dontneed(scene: Scene, cpu: number, variant: Variant): Path {
  const { k, mm } = scene;
  const tlb = yield* tlbGatherMmu(k, cpu, mm);
  yield spinLock(scene.ptl(0));
  const pfn = yield scene.clear(0);
  if (pfn !== 0) {
    tlb.removeEntry(0);
    tlb.removePage(pfn);
  }
  yield spinUnlock(scene.ptl(0));
  if (variant === "fixed") {
    yield* tlb.finish();
    return;
  }
  yield* tlb.flush();
  yield step("dec_tlb_flush_pending", () => {
    k.mms.addTlbFlushPending(mm, -1);
    return 0;
  });
}
