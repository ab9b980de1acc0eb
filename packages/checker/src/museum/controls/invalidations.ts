import { PAGE_SIZE, PTE_AF, PTE_RDONLY, pteMkold, sysMunmap } from "@mmu-notifier/core";
import { phases } from "@mmu-notifier/sdk";
import { spinLock, spinUnlock, step, waitFor } from "@mmu-notifier/steps";
import { READ_ONLY, READ_WRITE } from "../../scene/entry-flags.js";
import { Scene } from "../../scene/scene.js";
import type { MuseumControl } from "../entry.js";
import { iommu } from "../parts/iommu.js";
import { unmapPage } from "../parts/kernel-paths.js";
import { writableMapping } from "../parts/mappings.js";

const EVERYTHING = { start: 0, end: 16 };
/** Commands of one callback above which it is worth a word. */
const WORTH_A_WORD = 2;

/** Controls about invalidations that come late, too often, too wide or one by one. */
export const invalidationControls: readonly MuseumControl[] = [
  {
    id: "clear-flush-young-elided-flush",
    about:
      "Reclaim clears the accessed bit without a flush, so a device that hits its IOTLB looks idle. That costs a fault and nothing else: taking the page away invalidates.",
    warns: ["LOST-YOUNG"],
    models: [
      () => {
        const scene = new Scene();
        const used = scene.word("used since the bit was cleared");
        scene.map(0);
        const device = scene.device(iommu({ hears: ["arch-invalidate-secondary-tlbs"] }));
        scene.run(scene.access(device, 0, "read"));
        scene.task("reclaim", function* () {
          yield scene.change("ptep_test_and_clear_young", 0, pteMkold);
          yield step("second look: old", () => {
            const old = (scene.oracle.pte(scene.mm, 0) & PTE_AF) === 0;
            if (old && used.get() !== 0)
              scene.oracle.record("LOST-YOUNG", "page 0", "the page is taken for idle though the device has used it");
            return 0;
          });
          yield* unmapPage(scene, 0, { call: "reclaim", event: "MMU_NOTIFY_CLEAR" });
          return null;
        });
        scene.task("dev0", function* () {
          const saw = (): void => {
            if ((scene.oracle.pte(scene.mm, 0) & PTE_AF) === 0) used.set(1);
          };
          yield* scene.access(device, 0, "read", 0, saw);
          return null;
        });
        return scene.model("aging without a flush", { reached: () => used.get() !== 0 });
      },
    ],
  },
  {
    id: "ksm-late-invalidation-same-content",
    about:
      "A page is replaced by one with the same content, read-only both: the device may be told at end. Until then it reads the old page, and sees nothing that it should not.",
    models: [
      () => {
        const scene = new Scene({ kernel: "v6.4" });
        const old = scene.map(0, READ_ONLY);
        scene.k.pages.setContent(old, 5);
        const device = scene.device(iommu({ hears: ["invalidate-range"] }));
        scene.run(scene.access(device, 0, "read"));
        scene.task("ksmd", function* () {
          const range = scene.range(0);
          const merged = yield scene.alloc();
          yield scene.copy(old, merged);
          yield* scene.start(range);
          yield spinLock(scene.ptl(0));
          yield scene.set(0, merged, READ_ONLY);
          yield spinUnlock(scene.ptl(0));
          yield* scene.end(range);
          yield scene.returns("replace_page", 0);
          yield scene.free(old);
          return null;
        });
        scene.task("dev0", function* () {
          const saw = (content: number): void => {
            if (content !== 5) scene.oracle.record("ORDER", "page 0", "the device reads what was never there");
          };
          return (yield* scene.access(device, 0, "read", 0, saw)) === 0 ? [] : null;
        });
        return scene.model("KSM replaces a page", { reached: () => !scene.k.pages.isLive(old) });
      },
    ],
  },
  {
    id: "smmu-range-flush-soft-lockup",
    about:
      "A range is invalidated page by page where one command would do. The CPU may be stuck for seconds, under a spinlock; nothing stale is ever used.",
    warns: ["COST"],
    models: [
      () => {
        const scene = new Scene();
        const pages = [0, 1, 2, 3];
        const frames = pages.map((page) => scene.map(page));
        const device = scene.device(
          iommu({
            hears: ["arch-invalidate-secondary-tlbs"],
            onePageAtATime: (commands) => {
              if (commands > WORTH_A_WORD)
                scene.oracle.record("COST", "callback of dev0", `a callback issues more than ${WORTH_A_WORD} commands`);
            },
          }),
        );
        for (const page of pages) scene.run(scene.access(device, page, "read"));
        scene.task("cpu0", function* () {
          for (const page of pages) yield scene.clear(page);
          yield* scene.flush(0, pages.length);
          yield scene.expectDropped(0, pages.length);
          for (const pfn of frames) yield scene.free(pfn);
          yield scene.returns("munmap", 0, pages.length);
          return null;
        });
        scene.accesses(device, 3, "write");
        return scene.model("a range, page by page", { reached: () => !scene.k.pages.isLive(frames[3]!) });
      },
    ],
  },
  {
    id: "over-invalidation",
    about:
      "Invalidations that are wider than the change, of the whole address space, or without any change cost refills and break nothing.",
    warns: ["COST"],
    models: [
      () => {
        const scene = new Scene();
        scene.map(0);
        scene.map(1);
        const device = scene.device(iommu({ hears: ["arch-invalidate-secondary-tlbs"], drops: () => EVERYTHING }));
        const cached = (): number => device.binding.entries().filter(({ vpn }) => vpn === 1).length;
        for (const page of [0, 1]) scene.run(scene.access(device, page, "read"));
        scene.task("cpu0", function* () {
          yield* scene.flush(4, 4);
          const before = yield step("an entry that is right", cached);
          yield* unmapPage(scene, 0);
          yield step("is gone with the others", () => {
            if (cached() < before) scene.oracle.record("COST", "page 1", "an entry that was right is dropped");
            return 0;
          });
          return null;
        });
        scene.accesses(device, 1, "write");
        return scene.model("everything is dropped, again and again", { reached: () => cached() === 0 });
      },
    ],
  },
  {
    id: "xe-callback-shortcut-with-pinned-pages",
    about:
      "A driver that has pinned its pages may let the invalidations of an exit pass: the pins keep the frames until its device is done.",
    models: [
      () => {
        const scene = new Scene();
        const { k } = scene;
        const pfn = scene.map(0);
        k.pages.get(pfn);
        const job = scene.word("job", 1);
        const dropped = scene.word("mapping gone");
        k.bus
          .notifications(scene.mm)
          .pipe(phases("start"))
          .subscribe(() => undefined);
        scene.task("exit", function* () {
          const range = scene.range(0, 1, "MMU_NOTIFY_UNMAP");
          yield* scene.start(range);
          yield scene.clear(0);
          yield* scene.flush(0);
          yield step("put the page", () => {
            k.pages.put(pfn);
            dropped.set(1);
            return 0;
          });
          yield* scene.end(range);
          return null;
        });
        scene.task("dev0", function* () {
          yield step("dev0 writes page 0", () => {
            scene.oracle.use({ by: "dev0", mm: scene.mm, vpn: 0, pfn, write: true });
            job.set(0);
            return 0;
          });
          return null;
        });
        scene.task("close", function* () {
          yield waitFor("the device is done", () => job.get() === 0);
          yield step("unpin the page", () => {
            k.pages.put(pfn);
            return 0;
          });
          return null;
        });
        return scene.model("exit under a job with pinned pages", {
          reached: () => dropped.get() !== 0 && job.get() !== 0,
        });
      },
    ],
  },
  {
    id: "munmap-and-fault-never-overlap",
    about:
      "munmap holds mmap_lock for writing, a fault holds it for reading: on the project's own paths a CPU that faults while another unmaps either has the page or gets a signal.",
    models: [
      () => {
        const scene = new Scene({ kernel: "v5.10" });
        const page = writableMapping(scene, READ_ONLY | (READ_WRITE & ~PTE_RDONLY));
        const pfn = scene.oracle.frameOf(scene.mm, page);
        const faults = scene.kernelFaults();
        scene.task("cpu0", function* () {
          yield* sysMunmap(scene.k, { cpu: 0, mm: scene.mm }, page * PAGE_SIZE, PAGE_SIZE);
          yield scene.returns("munmap", page);
          return null;
        });
        scene.task("cpu1", function* () {
          if ((yield scene.cpuAccess(1, page, "write")) >= 0) return null;
          return (yield* faults.handleMmFault(page, true)) === 0 ? [] : null;
        });
        return scene.model("munmap against a fault", { reached: () => !scene.k.pages.isLive(pfn) });
      },
    ],
  },
];
