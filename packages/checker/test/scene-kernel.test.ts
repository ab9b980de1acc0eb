import { mkPte, pteAccessible, type Pte, PTE_PROTNONE, PTE_VALID } from "@mmu-notifier/core";
import { downRead, downWrite, type Path, spinLock, spinUnlock, step, upRead, upWrite } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { exploreScene, iommu, READ_WRITE, Scene, type SceneModel, shadowMmu, unmapPage } from "../src/index.js";

const VALUE = 7;

/** A CPU's TLB is filled before anything happens. */
function warm(scene: Scene, cpu: number, vpn = 0): void {
  scene.run(
    (function* (): Path {
      yield scene.cpuAccess(cpu, vpn, "write", 1);
    })(),
  );
}

/** Bugs of kernel paths that are not in the museum, each in a few lines. */
const BUGS: Readonly<Record<string, readonly [string, (buggy: boolean) => SceneModel]>> = {
  "migration trusts a PROT_NONE entry whose flush is pending": [
    "LOST-WRITE page 0",
    (buggy) => {
      const scene = new Scene();
      const { k, mm, oracle } = scene;
      const old = scene.map(0);
      warm(scene, 1);
      const over = scene.word("both are over");
      scene.task("mprotect", function* () {
        if (!buggy) yield step("inc_tlb_flush_pending", () => (k.mms.addTlbFlushPending(mm, 1), 0));
        yield spinLock(scene.ptl(0));
        const none = (pte: Pte): Pte => (pte === 0 ? 0 : (pte & ~PTE_VALID) | PTE_PROTNONE);
        yield scene.change("pte_modify(PROT_NONE)", 0, none);
        yield spinUnlock(scene.ptl(0));
        yield* scene.flush(0);
        if (!buggy) yield step("dec_tlb_flush_pending", () => (k.mms.addTlbFlushPending(mm, -1), 0));
        yield step("done", () => (over.set(over.get() + 1), 0));
        return null;
      });
      scene.task("migrate", function* () {
        const copy = yield scene.alloc();
        yield spinLock(scene.ptl(0));
        const pte = yield step("ptep_get_and_clear", () => {
          const before = oracle.pte(mm, 0);
          scene.clear(0).run(0);
          return before;
        });
        if (yield* pteAccessible(k, mm, pte)) yield* scene.flush(0);
        yield scene.copy(old, copy);
        yield scene.change("remove_migration_pte", 0, () => mkPte(copy, READ_WRITE));
        yield spinUnlock(scene.ptl(0));
        yield step("done", () => {
          over.set(over.get() + 1);
          oracle.expectContent(mm, 0);
          return 0;
        });
        return null;
      });
      scene.task("cpu1", function* () {
        yield scene.cpuAccess(1, 0, "write", VALUE);
        return null;
      });
      return scene.model("mprotect against migration", { reached: () => over.get() === 2 });
    },
  ],
  "mprotect finds an entry gone whose flush reclaim has put off": [
    "STALE-PERM page 0",
    (buggy) => {
      const scene = new Scene();
      const { k, mm } = scene;
      const pfn = scene.map(0);
      warm(scene, 1);
      const writable = scene.word("mprotect has returned");
      scene.task("reclaim", function* () {
        yield spinLock(scene.ptl(0));
        yield scene.clear(0);
        yield step("set_tlb_ubc_flush_pending", () => (k.mms.setTlbFlushBatched(mm, true), 0));
        yield spinUnlock(scene.ptl(0));
        yield* scene.flush(0);
        yield scene.free(pfn);
        return null;
      });
      scene.task("mprotect", function* () {
        yield spinLock(scene.ptl(0));
        const batched = yield step("flush_tlb_batched_pending", () => (k.mms.tlbFlushBatched(mm) ? 1 : 0));
        if (batched !== 0 && !buggy) yield* scene.flush(0);
        const had = yield scene.wrprotect(0);
        if (had !== 0) yield* scene.flush(0);
        yield spinUnlock(scene.ptl(0));
        yield step("mprotect returns", () => (writable.set(1), 0));
        return null;
      });
      scene.task("cpu1", function* () {
        const write = scene.cpuAccess(1, 0, "write", VALUE);
        yield step(write.label, (task) => {
          const through = write.run(task);
          if (through >= 0 && writable.get() !== 0)
            scene.oracle.record("STALE-PERM", "page 0", "cpu1 writes after mprotect(PROT_READ) has returned");
          return through;
        });
        return null;
      });
      return scene.model("reclaim against mprotect");
    },
  ],
  "a driver revokes pages that munmap has unlinked and not flushed": [
    "STALE-USE page 0",
    (buggy) => {
      const scene = new Scene();
      const pfn = scene.map(0);
      warm(scene, 1);
      const linked = scene.word("VMA is in the rmap tree", 1);
      scene.task("munmap", function* () {
        yield scene.clear(0);
        if (!buggy) yield* scene.flush(0);
        yield step("unlink_file_vma", () => (linked.set(0), 0));
        if (buggy) yield* scene.flush(0);
        return null;
      });
      scene.task("driver", function* () {
        const found = yield step("unmap_mapping_range", () => linked.get());
        if (found !== 0) {
          yield scene.clear(0);
          yield* scene.flush(0);
        }
        yield scene.free(pfn);
        return null;
      });
      scene.task("cpu1", function* () {
        yield scene.cpuAccess(1, 0, "write");
        return null;
      });
      return scene.model("munmap of a PFN mapping");
    },
  ],
  "a huge page is migrated for NUMA and no notifier hears of it": [
    "LOST-WRITE page 0, STALE-USE page 0",
    (buggy) => {
      const scene = new Scene({ kernel: "v5.10" });
      const old = scene.map(0);
      const device = scene.device(shadowMmu());
      while (device.binding.entries().length === 0) scene.run(scene.access(device, 0, "write", 0));
      scene.task("numa fault", function* () {
        const range = scene.range(0);
        if (!buggy) yield* scene.start(range);
        yield scene.clear(0);
        yield* scene.flush(0);
        const copy = yield scene.alloc();
        yield scene.copy(old, copy);
        yield scene.set(0, copy);
        if (!buggy) yield* scene.end(range);
        yield step("nothing was lost", () => (scene.oracle.expectContent(scene.mm, 0), 0));
        yield scene.free(old);
        return null;
      });
      scene.accesses(device, 0, "write", VALUE);
      return scene.model("NUMA migration");
    },
  ],
  "an entry goes from one frame to another without break-before-make": [
    "BBM page 0",
    (buggy) => {
      const scene = new Scene({ breakBeforeMake: true });
      const old = scene.map(0);
      const device = scene.device(iommu({ hears: ["arch-invalidate-secondary-tlbs"] }));
      scene.task("cpu0", function* () {
        const range = scene.range(0);
        const copy = yield scene.alloc();
        yield* scene.start(range);
        if (!buggy) {
          yield scene.clear(0);
          yield* scene.flush(0);
        }
        yield scene.set(0, copy);
        yield* scene.flush(0);
        yield* scene.end(range);
        yield scene.free(old);
        return null;
      });
      scene.accesses(device, 0, "read");
      return scene.model("a frame is exchanged");
    },
  ],
  "a fault looks a VMA up, drops mmap_lock, and maps what it found": [
    "STALE-USE page 0",
    (buggy) => {
      const scene = new Scene();
      const { k, mm, oracle } = scene;
      scene.map(0);
      const lock = k.mms.mmapLock(mm);
      scene.task("fault", function* () {
        yield downRead(lock);
        const pfn = yield step("look the page up", () => oracle.frameOf(mm, 0));
        if (buggy) yield upRead(lock);
        yield step("fault uses page 0", () => {
          if (pfn !== 0) oracle.use({ by: "fault", mm, vpn: 0, pfn, write: true });
          return 0;
        });
        if (!buggy) yield upRead(lock);
        return null;
      });
      scene.task("munmap", function* () {
        yield downWrite(lock);
        yield* unmapPage(scene, 0);
        yield upWrite(lock);
        return null;
      });
      return scene.model("a lock is dropped too early");
    },
  ],
};

describe.each(Object.entries(BUGS))("%s", (_name, [verdicts, model]) => {
  it("is found", () => {
    const { found } = exploreScene(model(true));

    expect(
      found
        .map(({ verdict, object }) => `${verdict} ${object}`)
        .sort()
        .join(", "),
    ).toBe(verdicts);
  });

  it("is gone when it is fixed", () => {
    const { complete, found } = exploreScene(model(false));

    expect([complete, found.map(({ verdict, what }) => `${verdict}: ${what}`)]).toEqual([true, []]);
  });
});
