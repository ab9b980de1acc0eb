import { alignedSpan, type PageRange } from "@mmu-notifier/sdk";
import { choose, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { iommu } from "../parts/iommu.js";

const PAGES = 8;
const USED = 5;

export const vtdPsiUnaligned: MuseumEntry = {
  id: "vtd-psi-unaligned",
  number: "F6",
  year: "2020",
  title: "an invalidation by mask at an address that is not aligned to the mask",
  source:
    "iommu/vt-d: Fix unaligned addresses for intel_flush_svm_range_dev(); Fix misuse of ALIGN in qi_flush_piotlb()",
  class: "missed range",
  swaps: "driver",
  story:
    "VT-d invalidates a power of two of pages, and ignores the address bits below that size. The driver rounded the number of pages up and passed the address as it was: " +
    "for pages 3 to 6 hardware dropped pages 0 to 3, and the rest stayed.",
  scenario:
    "An IOTLB that holds all pages, hardware that masks the address, and a call that takes away any run of pages 0 to 7: every start and length is tried. " +
    "The driver is exchanged: the mask of the length, or the smallest aligned block around the range (the sdk's alignedSpan).",
  expect: [
    { verdict: "MISSED-RANGE", object: "the announced range", steps: 10 },
    { verdict: "STALE-USE", object: "page 5", steps: 13 },
  ],
  model: (variant) => {
    const scene = new Scene();
    const frames = Array.from({ length: PAGES }, (_, page) => scene.map(page));
    const device = scene.device(
      iommu({
        hears: ["arch-invalidate-secondary-tlbs"],
        ways: PAGES,
        drops: variant === "buggy" ? maskOfLength : smallestBlock,
      }),
    );
    for (let page = 0; page < PAGES; page++) scene.run(scene.access(device, page, "read"));
    scene.task("cpu0", function* () {
      const first = yield choose("first page", PAGES);
      const pages = 1 + (yield choose("number of pages, less one", PAGES - first));
      yield step(`clear pages ${first} to ${first + pages - 1}`, () => {
        for (let page = first; page < first + pages; page++) scene.clear(page).run(0);
        return 0;
      });
      yield* scene.flush(first, pages);
      yield scene.expectDropped(first, pages, { about: "the announced range" });
      yield step("free them", () => {
        for (let page = first; page < first + pages; page++) scene.free(frames[page]!).run(0);
        return 0;
      });
      return null;
    });
    scene.accesses(device, USED, "read");
    return scene.model("any run of pages is taken away", { reached: () => !scene.k.pages.isLive(frames[USED]!) });
  },
};

/** What hardware drops for the address as it is and a mask that is as long as the range. */
function maskOfLength({ start, end }: PageRange): PageRange {
  let size = 1;
  while (size < end - start) size *= 2;
  const block = start - (start % size);
  return { start: block, end: block + size };
}

function smallestBlock({ start, end }: PageRange): PageRange {
  const span = alignedSpan(start, end);
  return { start: span.start, end: span.start + span.pages };
}
