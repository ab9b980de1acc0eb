import { spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { type Mirror, mirror } from "../parts/mirror.js";

/** Tokens of the two drivers (migrate_vma.pgmap_owner). */
const MINE = 1;
const OTHER = 2;
const VALUE = 7;

export const migrateOwnerFilter: MuseumEntry = {
  id: "migrate-owner-filter",
  number: "G18",
  year: "2020",
  title: "a driver lets every MMU_NOTIFY_MIGRATE pass, also those of another driver",
  source: "mm/notifier: add migration invalidation type; the bug is derived from it, nobody has reported it",
  class: "wrong filter",
  swaps: "driver",
  story:
    "A driver that moves pages to its device causes MIGRATE events of its own, which it may let pass. The event carries an owner, so that it can tell. " +
    "If it looks at the event only, it also misses that another driver moves a page that its own device still uses: writes go to the old frame, which is freed.",
  scenario:
    "The real interval notifiers; another driver moves page 0, with its token in the range. The driver is exchanged: it lets MIGRATE pass, or MIGRATE with its own token.",
  expect: [
    { verdict: "STALE-USE", object: "page 0", steps: 16 },
    { verdict: "LOST-WRITE", object: "page 0", steps: 17 },
  ],
  model: (variant) => {
    const scene = new Scene({ bus: { invalidateSeqBits: 3 } });
    const { mm, oracle } = scene;
    const pfn = scene.map(0);
    let made!: Mirror;
    const device = scene.device(
      mirror(
        { ignores: ({ event, owner }) => event === "MMU_NOTIFY_MIGRATE" && (variant === "buggy" || owner === MINE) },
        (it) => (made = it),
      ),
    );
    scene.run(made.insert());
    while (made.count() === 0) scene.run(scene.access(device, 0, "write", 0));
    scene.task("other driver", function* () {
      const range = scene.range(0, 1, "MMU_NOTIFY_MIGRATE", { owner: OTHER });
      yield* scene.start(range);
      yield spinLock(scene.ptl(0));
      yield scene.clear(0);
      yield* scene.flush(0);
      yield spinUnlock(scene.ptl(0));
      const moved = yield scene.alloc();
      yield scene.copy(pfn, moved);
      yield scene.set(0, moved);
      yield* scene.end(range);
      yield scene.free(pfn);
      yield step("nothing was lost", () => {
        oracle.expectContent(mm, 0);
        return 0;
      });
      return null;
    });
    scene.accesses(device, 0, "write", VALUE);
    return scene.model("another driver moves a page", { reached: () => !scene.k.pages.isLive(pfn) });
  },
};
