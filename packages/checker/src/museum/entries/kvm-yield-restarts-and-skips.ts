import { type MmuNotification, pageRange } from "@mmu-notifier/sdk";
import { choose, type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { shadowMmu } from "../parts/shadow-driver.js";
import type { ShadowMmu } from "../parts/shadow-mmu.js";

export const kvmYieldRestartsAndSkips: MuseumEntry = {
  id: "kvm-yield-restarts-and-skips",
  number: "B10",
  year: "2021",
  title: "a zap loop gives the lock up, starts again, and steps over an entry",
  source: "CVE-2021-47094, 3a0f64de479c KVM: x86/mmu: Don't advance iterator after restart due to yielding",
  class: "missed range",
  swaps: "driver",
  story:
    "Zapping a long range gives mmu_lock up now and then. Afterwards the iterator starts again at the entry that comes next, and the loop then advances as it always does: that entry is never looked at. " +
    "The invalidation ends, the page is freed, and the guest still maps it.",
  scenario:
    "A driver with a table of its own on the real bus, two pages mapped; whether it yields is tried both ways after each entry. The driver is exchanged: it steps on after a restart, or does not.",
  expect: [
    { verdict: "MISSED-RANGE", object: "page 1", steps: 16 },
    { verdict: "STALE-USE", object: "page 1", steps: 20 },
  ],
  model: (variant) => {
    const scene = new Scene();
    const frames = [scene.map(0), scene.map(1)];

    function* zapAll(mmu: ShadowMmu, notification: MmuNotification): Path {
      const { start, end } = pageRange(notification);
      yield spinLock(mmu.lock);
      yield step("mmu_invalidate_in_progress++", () => {
        mmu.counters.begin([{ start, end }]);
        return 0;
      });
      for (let at = start; at < end;) {
        yield* mmu.zap(at, at + 1);
        const yields = at + 1 < end ? yield choose("yield?", 2) : 0;
        if (yields !== 0) {
          yield spinUnlock(mmu.lock);
          yield spinLock(mmu.lock);
        }
        at += yields !== 0 && variant === "buggy" ? 2 : 1;
      }
      yield spinUnlock(mmu.lock);
    }
    function* endAll(mmu: ShadowMmu): Path {
      yield step("mmu_invalidate_seq++", () => {
        mmu.counters.end();
        return 0;
      });
    }
    const device = scene.device(
      shadowMmu({ answers: (mmu, n) => (n.phase === "start" ? zapAll(mmu, n) : endAll(mmu)) }),
    );
    for (const page of [0, 1])
      while (!device.binding.entries().some(({ vpn }) => vpn === page)) scene.run(scene.access(device, page, "write"));
    scene.task("cpu0", function* () {
      const range = scene.range(0, 2, "MMU_NOTIFY_UNMAP");
      yield* scene.start(range);
      for (const page of [0, 1]) yield scene.clear(page);
      yield* scene.flush(0, 2);
      yield scene.expectDropped(0, 2);
      for (const pfn of frames) yield scene.free(pfn);
      yield* scene.end(range);
      return null;
    });
    scene.accesses(device, 1, "write");
    return scene.model("munmap of two pages", { reached: () => !scene.k.pages.isLive(frames[1]!) });
  },
};
