import { PTE_DIRTY, PTE_RDONLY, ptePfn, ptepSetAccessFlags } from "@mmu-notifier/core";
import { type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { WRITABLE_CLEAN } from "../../scene/entry-flags.js";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { shadowMmu } from "../parts/shadow-driver.js";

const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";
const WRITTEN_BACK = 5;

export const upgradeCallbackInstallsPte: MuseumEntry = {
  id: "upgrade-callback-installs-pte",
  number: "A7",
  year: "2023",
  title: "a driver makes its entry writable in response to the upgrade event",
  source: 'hazard named in the comment of the patch of 21 May 2023 ("must not be used to upgrade"); scenario derived',
  class: "installing an entry in response to an invalidation",
  swaps: "driver",
  story:
    "The upgrade event is sent after the page-table lock is dropped. Before it arrives, writeback's page_mkclean() may have made the page read-only again, with start, flush and end. " +
    "A driver that widens its entry when the event comes undoes that: its device writes to a page that was cleaned, and nobody learns of it.",
  scenario:
    "v6.4+upgrade-event; the real ptep_set_access_flags() and bus. One CPU upgrades and sends the event, another cleans the page and writes it back, a device with a shadow table writes. " +
    "The driver is exchanged: it installs from the callback, or filters the event.",
  expect: [
    { verdict: "STALE-PERM", object: "page 0", steps: 26 },
    { verdict: "LOST-DIRTY", object: "page 0", steps: 27 },
    { verdict: "CONTRACT", object: UPGRADE, steps: 8 },
  ],
  model: (variant) => {
    const scene = new Scene({ kernel: "v6.4+upgrade-event" });
    const { k, mm, oracle } = scene;
    const pfn = scene.map(0, WRITABLE_CLEAN);
    const disk = scene.word("disk", 0);
    const device = scene.device(
      shadowMmu({
        answers: (mmu, { event, phase }) => {
          if (event !== UPGRADE) return undefined;
          return variant === "buggy" && phase === "start" ? widen() : nothing();
          function* widen(): Path {
            yield spinLock(mmu.lock);
            yield step("install spte 0, writable", () => {
              mmu.table.install(0, pfn, { hostWritable: true, write: true });
              oracle.record(
                "CONTRACT",
                UPGRADE,
                "the driver installs an entry from a callback, without a walk and a retry check",
              );
              return 0;
            });
            yield spinUnlock(mmu.lock);
          }
        },
      }),
    );
    scene.task("fault", function* () {
      yield spinLock(scene.ptl(0));
      const ptep = k.tables.leaf(k.mms.pgd(mm), 0);
      const wanted = (k.tables.get(ptep) | PTE_DIRTY) & ~PTE_RDONLY;
      yield* ptepSetAccessFlags(k, 0, mm, 0, ptep, wanted, true, "handle_pte_fault");
      yield spinUnlock(scene.ptl(0));
      const range = scene.range(0, 1, UPGRADE);
      yield* scene.start(range);
      yield* scene.end(range);
      return null;
    });
    scene.task("writeback", function* () {
      const range = scene.range(0, 1, "MMU_NOTIFY_PROTECTION_PAGE");
      yield* scene.start(range);
      yield spinLock(scene.ptl(0));
      yield scene.change("pte_mkclean, pte_wrprotect", 0, (pte) => k.pte.mkclean(k.pte.wrprotect(pte)));
      yield* scene.flush(0);
      yield spinUnlock(scene.ptl(0));
      yield* scene.end(range);
      yield scene.returns("page_mkclean", 0);
      yield step("write the page to disk", () => {
        disk.set(k.pages.content(ptePfn(oracle.pte(mm, 0))) + WRITTEN_BACK);
        return 0;
      });
      return null;
    });
    scene.accesses(device, 0, "write");
    return scene.model("an upgrade, a cleaning and a device's write", {
      invariants: [
        {
          name: "page 0",
          verdict: "LOST-DIRTY",
          holds: () =>
            disk.get() === 0 || k.pages.content(pfn) + WRITTEN_BACK === disk.get() || k.pte.dirty(oracle.pte(mm, 0)),
        },
      ],
      reached: () => disk.get() !== 0 && device.binding.entries().length > 0,
    });
  },
};

function* nothing(): Path {}
