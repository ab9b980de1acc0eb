import { mkPte, PTE_DIRTY, PTE_HUGE, PTE_RDONLY, ptePfn } from "@mmu-notifier/core";
import { type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { exploreScene, iommu, READ_ONLY, READ_WRITE, Scene, type SceneModel, WRITABLE_CLEAN } from "../src/index.js";

const HUGE = 4;

/** More bugs of the catalogue, chosen for parts that no other test asks for: huge pages, pins, hardware's own writes, mailboxes. */
const BUGS: Readonly<Record<string, readonly [string, (buggy: boolean) => SceneModel]>> = {
  "the event of an upgraded huge page covers the faulting page only": [
    "LIVELOCK dev0, MISSED-RANGE page 1",
    (buggy) => {
      const scene = new Scene({ kernel: "v6.4+upgrade-event" });
      const { k, mm, oracle } = scene;
      const { tables } = k;
      const head = k.pages.alloc(2);
      const pmdp = tables.findOrCreate(k.mms.pgd(mm), 1, 0);
      tables.set(pmdp, mkPte(head, WRITABLE_CLEAN | PTE_HUGE));
      const upgrade = function* (vpn: number): Path<number> {
        const changed = yield step("huge_ptep_set_access_flags", () => {
          const before = tables.get(pmdp);
          tables.set(pmdp, (before | PTE_DIRTY) & ~PTE_RDONLY);
          return tables.get(pmdp) === before ? 0 : 1;
        });
        if (changed !== 0) {
          const [from, pages] = buggy ? [vpn, 1] : [0, HUGE];
          const range = scene.range(from, pages, "MMU_NOTIFY_PROTECTION_UPGRADE");
          yield* scene.start(range);
          yield* scene.end(range);
          yield step("no read-only entry is left", () => {
            const left = device.binding.entries().some((entry) => entry.vpn === 1 && !entry.write);
            if (left) oracle.record("MISSED-RANGE", "page 1", "an entry of the huge page is left");
            return 0;
          });
        }
        return 0;
      };
      const device = scene.device(iommu({ hears: ["invalidate-range"], blocks: "splintered" }), {
        faults: { ...scene.hostFaults(), handleMmFault: (vpn) => upgrade(vpn) },
      });
      for (const page of [0, 1]) scene.run(scene.access(device, page, "read"));
      scene.task(
        "dev0",
        function* (page: number) {
          if ((yield* scene.access(device, page, "write")) === 0) return [page];
          return page === 0 ? [1] : null;
        },
        { locals: [0] },
      );
      return scene.model("a huge page is upgraded");
    },
  ],
  "an accelerator that does not fetch again sees a right granted in place": [
    "LIVELOCK dev0",
    (buggy) => {
      const scene = new Scene();
      const { k } = scene;
      scene.map(0, READ_ONLY);
      const relax = function* (): Path<number> {
        yield spinLock(scene.ptl(0));
        const pte = yield step("pte", () => scene.oracle.pte(scene.mm, 0));
        if (!k.pte.hwWritable(pte, false)) {
          if (!buggy) {
            yield scene.change("mark it invalid", 0, () => 0);
            yield* scene.flush(0);
          }
          yield scene.set(0, ptePfn(pte), READ_WRITE);
        }
        yield spinUnlock(scene.ptl(0));
        return 0;
      };
      const device = scene.device(iommu({ hears: ["arch-invalidate-secondary-tlbs"] }), {
        faults: { ...scene.hostFaults(), handleMmFault: relax },
      });
      scene.run(scene.access(device, 0, "read"));
      scene.accesses(device, 0, "write");
      return scene.model("a right is granted");
    },
  ],
  "a pinned page is copied for its owner and stays with the other process": [
    "ISOLATION page 0",
    (buggy) => {
      const scene = new Scene();
      const { mm, k, oracle } = scene;
      const child = scene.addMm();
      const shared = scene.map(0, READ_ONLY);
      k.pages.get(shared);
      oracle.owns(shared, mm);
      scene.map(0, READ_ONLY, { mm: child, pfn: shared });
      oracle.owns(shared, 0);
      scene.task("parent writes", function* () {
        const copy = yield scene.alloc();
        yield step("wp_page_copy", (task) => {
          // Copied for the parent, or the child's half when the parent's is pinned.
          const [who, keeps] = buggy ? [mm, child] : [child, mm];
          scene.change("copy", 0, () => mkPte(copy, READ_WRITE), who).run(task);
          oracle.owns(copy, who);
          oracle.owns(shared, keeps);
          return 0;
        });
        return null;
      });
      scene.task("pin", function* () {
        yield step("the pin's user reads", () => (oracle.use({ by: "pin", mm, vpn: 0, pfn: shared, write: false }), 0));
        return null;
      });
      return scene.model("copy-on-write of a pinned page");
    },
  ],
  "a huge entry is made invalid from what was read of it before hardware set it dirty": [
    "LOST-DIRTY page 0",
    (buggy) => {
      const scene = new Scene();
      const { k, mm, oracle } = scene;
      scene.map(0, WRITABLE_CLEAN);
      const written = scene.word("hardware has written");
      const split = scene.word("split");
      scene.task("split", function* () {
        const early = buggy ? yield step("read the pmd", () => oracle.pte(mm, 0)) : 0;
        const before = yield step("pmdp_invalidate", (task) => {
          const now = oracle.pte(mm, 0);
          scene.change("invalid", 0, () => 0).run(task);
          return buggy ? early : now;
        });
        yield scene.change("set_pte_at", 0, () => before);
        yield step("split is over", () => (split.set(1), 0));
        return null;
      });
      scene.task("hardware", function* () {
        yield step("write, set dirty", () => {
          const ptep = k.tables.leaf(k.mms.pgd(mm), 0);
          if (ptep === 0) return 0;
          k.tables.set(ptep, k.pte.hwMkdirty(k.tables.get(ptep)));
          written.set(1);
          return 0;
        });
        return null;
      });
      return scene.model("a split under hardware dirty management", {
        invariants: [
          {
            name: "page 0",
            verdict: "LOST-DIRTY",
            holds: () => split.get() === 0 || written.get() === 0 || k.pte.dirty(oracle.pte(mm, 0)),
          },
        ],
      });
    },
  ],
  "a flush request in a mailbox is overwritten": [
    "STALE-USE page 0",
    (buggy) => {
      const scene = new Scene();
      const { k } = scene;
      const pfn = scene.map(0);
      scene.run(
        (function* (): Path {
          yield scene.cpuAccess(1, 0, "read");
        })(),
      );
      const [preempted, flush] = [1, 2];
      const byte = scene.word("steal.preempted", preempted);
      scene.task("cpu0", function* () {
        yield scene.clear(0);
        const away = yield step("cmpxchg(PREEMPTED, PREEMPTED | FLUSH_TLB)", () => {
          if (byte.get() !== preempted) return 0;
          byte.set(preempted | flush);
          return 1;
        });
        if (away === 0) yield* scene.flush(0);
        else k.tlbs.invalidate(0, k.mms.asid(scene.mm), 0, 1);
        yield scene.free(pfn);
        return null;
      });
      scene.task("cpu1", function* () {
        const enter = (had: number): void => {
          if ((had & flush) !== 0) k.tlbs.invalidate(1, k.mms.asid(scene.mm), 0, 1);
        };
        if (buggy) {
          const had = yield step("read the byte", () => byte.get());
          yield step("write 0", () => (byte.set(0), enter(had), 0));
        } else
          yield step("xchg(byte, 0)", () => {
            enter(byte.get());
            byte.set(0);
            return 0;
          });
        yield scene.cpuAccess(1, 0, "read");
        return null;
      });
      return scene.model("a paravirtual flush");
    },
  ],
  "a PASID entry is cleared word by word while hardware fetches it": [
    "CONTRACT PASID entry",
    (buggy) => {
      const scene = new Scene();
      const [low, high] = [scene.word("entry: present", 1), scene.word("entry: page table", 1)];
      scene.task("tear down", function* () {
        const clears = [step("clear the table", () => (high.set(0), 0)), step("clear P", () => (low.set(0), 0))];
        if (!buggy) clears.reverse();
        yield clears[0]!;
        yield clears[1]!;
        return null;
      });
      scene.task("hardware", function* () {
        const table = yield step("fetch the upper half", () => high.get());
        yield step("fetch the lower half", () => {
          if (low.get() === 1 && table === 0)
            scene.oracle.record("CONTRACT", "PASID entry", "hardware uses a torn entry");
          return 0;
        });
        return null;
      });
      return scene.model("a torn entry");
    },
  ],
};

describe.each(Object.entries(BUGS))("%s", (_name, [verdicts, model]) => {
  const options = verdicts.startsWith("LIVELOCK") ? ({ liveness: "task" } as const) : {};

  it("is found", () => {
    const { found } = exploreScene(model(true), options);

    expect(
      found
        .map(({ verdict, object }) => `${verdict} ${object}`)
        .sort()
        .join(", "),
    ).toBe(verdicts);
  });

  it("is gone when it is fixed", () => {
    const { complete, found } = exploreScene(model(false), options);

    expect([complete, found.map(({ verdict, what }) => `${verdict}: ${what}`)]).toEqual([true, []]);
  });
});
