import { type Path, spinLock, spinUnlock } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry, Variant } from "../entry.js";

const FROM = 0;
/** In another table, under another lock. */
const TO = 4;

export const mremapFlushAfterUnlock: MuseumEntry = {
  id: "mremap-flush-after-unlock",
  number: "D1",
  year: "2018",
  title: "mremap() drops the destination's lock before it flushes the source",
  source: "CVE-2018-18281, eb66ae030829 mremap: properly flush TLB before releasing the page",
  class: "stale translation, lock scope",
  swaps: "kernel",
  story:
    "move_ptes() moves an entry from one address to another and flushes the old address afterwards. Once the page-table locks are dropped, truncation finds the page at its new address, " +
    "flushes that one, and frees the page. A thread that still has the old address in its TLB writes to freed memory.",
  scenario:
    "Real page tables, locks and CPU TLBs; the truncation comes through the reverse map and takes no mmap_lock. The kernel's path is exchanged: flush after the locks are dropped, or before.",
  expect: [{ verdict: "STALE-USE", object: "page 0", steps: 13 }],
  model: (variant) => {
    const scene = new Scene();
    const pfn = scene.map(FROM);
    scene.k.tables.findOrCreate(scene.k.mms.pgd(scene.mm), 0, TO);
    scene.run(once(scene));
    scene.task("cpu0", function* () {
      yield* moveEntry(scene, variant);
      return null;
    });
    scene.task("truncate", function* () {
      yield spinLock(scene.ptl(TO));
      const found = yield scene.clear(TO);
      if (found !== 0) yield* scene.flush(TO);
      yield spinUnlock(scene.ptl(TO));
      yield scene.free(found);
      return null;
    });
    scene.task("cpu1", function* () {
      yield scene.cpuAccess(1, FROM, "write");
      return null;
    });
    return scene.model("mremap against truncation", { reached: () => !scene.k.pages.isLive(pfn) });
  },
};

function* once(scene: Scene): Path {
  yield scene.cpuAccess(1, FROM, "write");
}

/** move_ptes() of one page. */
function* moveEntry(scene: Scene, variant: Variant): Path {
  yield spinLock(scene.ptl(FROM));
  yield spinLock(scene.ptl(TO), 1);
  const pfn = yield scene.clear(FROM);
  yield scene.set(TO, pfn);
  if (variant === "fixed") yield* scene.flush(FROM);
  yield spinUnlock(scene.ptl(TO));
  yield spinUnlock(scene.ptl(FROM));
  if (variant === "buggy") yield* scene.flush(FROM);
  yield scene.returns("mremap", FROM);
}
