import { mkTable } from "@mmu-notifier/core";
import { step, waitFor } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { shadowMmu } from "../parts/shadow-driver.js";

/** Pages of one table: all of them go when the table is no longer shared. */
const TABLE = 4;

export const pmdSharingRangeTooSmall: MuseumEntry = {
  id: "pmd-sharing-range-too-small",
  number: "C5",
  year: "2018",
  title: "a process lets go of a shared page table and announces one page of it",
  source: "017b1660df89 mm: migration: fix migration of huge PMD shared pages; adjust_range_if_pmd_sharing_possible()",
  class: "missed range",
  swaps: "kernel",
  story:
    "Processes that map the same hugetlb file share page tables. Unmapping one page in one of them takes the whole table away from that process, up to a gigabyte, " +
    "and the notifiers were told one page. A guest of that process keeps the rest; when the other process frees one of those pages, nobody tells the guest.",
  scenario:
    "Two address spaces whose top levels point to one table of the real page tables, and a device with a table of its own over two of its pages. " +
    "The kernel's path is exchanged: the range is the page, or everything the table maps.",
  expect: [
    { verdict: "MISSED-RANGE", object: "page 1", steps: 16 },
    { verdict: "STALE-USE", object: "page 1", steps: 15 },
  ],
  model: (variant) => {
    const scene = new Scene();
    const { k, mm, oracle } = scene;
    const other = scene.addMm();
    scene.map(0);
    scene.map(1);
    const top = (of: number): number => k.tables.ptepIn(k.mms.pgd(of), k.tables.top, 0);
    k.tables.set(top(other), mkTable(k.tables.tableOf(k.tables.find(k.mms.pgd(mm), 0, 0))));
    const device = scene.device(shadowMmu());
    for (const page of [0, 1])
      while (!device.binding.entries().some(({ vpn }) => vpn === page)) scene.run(scene.access(device, page, "read"));

    scene.task("migrate", function* () {
      const range = variant === "buggy" ? scene.range(0, 1) : scene.range(0, TABLE);
      yield* scene.start(range);
      yield step("huge_pmd_unshare", () => {
        for (let page = 0; page < TABLE; page++) oracle.changes(mm, page);
        k.tables.set(top(mm), 0);
        return 0;
      });
      yield* scene.flush(0, TABLE);
      yield* scene.end(range);
      yield scene.expectDropped(0, TABLE);
      return null;
    });
    scene.task("other", function* () {
      yield waitFor("mm1 has let go of the table", () => k.tables.get(top(mm)) === 0);
      const pfn = yield scene.clear(1, other);
      yield* scene.flush(1, 1, { mm: other });
      yield scene.free(pfn);
      return null;
    });
    scene.accesses(device, 1, "write");
    return scene.model("a shared table is let go of", { reached: () => k.tables.get(top(mm)) === 0 });
  },
};
