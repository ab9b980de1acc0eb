import { PAGE_SIZE } from "@mmu-notifier/core";
import { type Path, spinLock, spinUnlock, waitFor } from "@mmu-notifier/steps";
import { READ_ONLY } from "../../scene/entry-flags.js";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry, Variant } from "../entry.js";
import { iommu } from "../parts/iommu.js";

const A = 0;
/** In another table, so that the two copies do not share a lock. */
const B = 4;

export const cowNotifyLateBreaksDeviceOrder: MuseumEntry = {
  id: "cow-notify-late-breaks-device-order",
  number: "C9",
  year: "2017",
  title: "copy-on-write tells the device late, and the device sees writes out of order",
  source: "Documentation/mm/mmu_notifier.rst, case B; 0f10851ea475, 4645b9fe84bf",
  class: "wrong order, missing notification under the lock",
  swaps: "kernel",
  story:
    "Two pages are copied on write. If the device's entries are dropped only at end, after the new page is in place, a CPU can write to the new A, then to the new B, " +
    "and the device sees the new B and the old A: an order of writes that no memory model allows.",
  scenario:
    "Two copies on the bus of v6.4, one CPU that writes A and then B, a device that reads B and then A through an IOTLB that holds the old pages. " +
    "The kernel's path is exchanged: the new entry comes first and end tells the device, or the entry is cleared, flushed and told under the lock before the new one comes.",
  expect: [{ verdict: "ORDER", object: "pages 0 and 4", steps: 20 }],
  model: (variant) => {
    const scene = new Scene({ kernel: "v6.4" });
    const { oracle, mm, k } = scene;
    const old = new Map([A, B].map((page) => [page, scene.map(page, READ_ONLY)] as const));
    const device = scene.device(iommu({ hears: ["invalidate-range"] }));
    for (const page of [A, B]) scene.run(scene.access(device, page, "read"));
    const sawB = scene.word("what the device saw in B");

    for (const page of [A, B]) {
      scene.task(`copy of ${page}`, function* () {
        yield* copyOnWrite(scene, page, variant);
        return null;
      });
    }
    scene.task("cpu1", function* () {
      for (const page of [A, B]) {
        yield waitFor(
          `cpu1 writes 1 to page ${page}`,
          () => oracle.frameOf(mm, page) !== 0 && oracle.frameOf(mm, page) !== old.get(page),
          () => {
            k.pages.setContent(oracle.frameOf(mm, page), 1);
            return 0;
          },
        );
      }
      return null;
    });
    scene.task(
      "dev0",
      function* (page: number) {
        const saw = (content: number): void => {
          if (page === B) sawB.set(content);
          else if (sawB.get() === 1 && content === 0)
            oracle.record(
              "ORDER",
              "pages 0 and 4",
              "the device reads the new page 4 and then the old page 0, though page 0 was written first",
            );
        };
        if ((yield* scene.access(device, page, "read", 0, saw)) !== 1) return [page];
        return page === B ? [A] : null;
      },
      { locals: [B] },
    );
    return scene.model("two copies on write and a device", { reached: () => sawB.get() === 1 });
  },
};

/** wp_page_copy(). */
function* copyOnWrite(scene: Scene, page: number, variant: Variant): Path {
  const range = scene.range(page);
  const copy = yield scene.alloc();
  yield* scene.start(range);
  yield spinLock(scene.ptl(page));
  if (variant === "fixed") {
    yield scene.clear(page);
    yield* scene.flush(page);
    yield* scene.k.bus.invalidateRange(scene.mm, page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
  }
  yield scene.set(page, copy);
  yield spinUnlock(scene.ptl(page));
  yield* scene.end(range);
}
