import type { MmuNotification } from "@mmu-notifier/sdk";
import { mkPte, ptePfn } from "@mmu-notifier/core";
import { type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { READ_ONLY } from "../../scene/entry-flags.js";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { unmapPage } from "../parts/kernel-paths.js";
import { shadowMmu } from "../parts/shadow-driver.js";
import type { ShadowMmu } from "../parts/shadow-mmu.js";

export const kvmChangePteUnbracketed: MuseumEntry = {
  id: "kvm-change-pte-unbracketed",
  number: "B15",
  year: "2012",
  title: "change_pte installs the new page while another invalidation of it is under way",
  source:
    "6bdb913f0a70 mm: wrap calls to set_pte_at_notify with invalidate_range_start/end; removed by f3b65bbaed7c, 997308f9ae94",
  class: "installing an entry in response to an invalidation",
  swaps: "driver",
  story:
    "set_pte_at_notify() told secondary MMUs the new entry, so that they could put it in without a fault. If another thread has already sent its start for that page, " +
    "the entry comes after that start's zap and before the page is taken away: nothing removes it any more.",
  scenario:
    "change_pte of v5.10's bus, under the page-table lock and inside a bracket; KSM replaces a page while MADV_DONTNEED drops it. " +
    "The driver is exchanged: it installs always, or only when no other invalidation is under way.",
  expect: [
    { verdict: "STALE-USE", object: "page 0", steps: 30 },
    { verdict: "CONTRACT", object: "change_pte", steps: 17 },
  ],
  model: (variant) => {
    const scene = new Scene({ kernel: "v5.10" });
    const { k, mm, oracle } = scene;
    scene.map(0);
    function* changed(mmu: ShadowMmu, { pte = 0 }: MmuNotification): Path {
      yield spinLock(mmu.lock);
      yield step("install what change_pte says", () => {
        const alone = mmu.counters.inProgress === 1;
        if (!alone && variant === "fixed") return 0;
        if (!alone)
          oracle.record(
            "CONTRACT",
            "change_pte",
            "an entry is installed while more than one invalidation is under way",
          );
        mmu.table.install(0, ptePfn(pte), { hostWritable: false, write: false });
        return 0;
      });
      yield spinUnlock(mmu.lock);
    }
    const device = scene.device(shadowMmu({ also: { "change-pte": changed } }));
    scene.task("ksmd", function* () {
      const range = scene.range(0);
      const merged = yield scene.alloc();
      yield* scene.start(range);
      yield spinLock(scene.ptl(0));
      const old = yield scene.clear(0);
      if (old !== 0) {
        yield* scene.flush(0);
        yield* k.bus.changePte(mm, 0, mkPte(merged, READ_ONLY));
        yield scene.set(0, merged, READ_ONLY);
      }
      yield spinUnlock(scene.ptl(0));
      yield scene.free(old);
      yield* scene.end(range);
      return null;
    });
    scene.task("cpu0", function* () {
      yield* unmapPage(scene, 0, { call: "madvise", event: "MMU_NOTIFY_CLEAR" });
      return null;
    });
    scene.accesses(device, 0, "read");
    return scene.model("KSM against MADV_DONTNEED", { reached: () => device.binding.entries().length > 0 });
  },
};
