import { FAULT_RETRY, type MmuNotification, phases } from "@mmu-notifier/sdk";
import { mutexLock, mutexTrylock, mutexUnlock, type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import {
  exploreScene,
  iommu,
  mirror,
  type Mirror,
  READ_ONLY,
  replacePage,
  Scene,
  type SceneModel,
  shadowMmu,
  type ShadowMmu,
  unmapPage,
} from "../src/index.js";

/** Bugs of drivers that are not in the museum, each in a few lines: what its parts are for. */
const BUGS: Readonly<Record<string, readonly [string, (buggy: boolean) => SceneModel]>> = {
  "the sequence is sampled after the lookup": [
    "STALE-USE page 0",
    (buggy) => {
      const scene = new Scene();
      scene.map(0);
      const device = scene.device(shadowMmu({ samples: buggy ? "after-lookup" : "before-lookup" }));
      scene.accesses(device, 0, "write");
      scene.task("cpu0", function* () {
        yield* unmapPage(scene, 0);
        return null;
      });
      return scene.model("sampling");
    },
  ],
  "a zap loop gives the lock up before it flushes what it has zapped": [
    "STALE-USE page 0",
    (buggy) => {
      const scene = new Scene();
      scene.map(0);
      let mmu!: ShadowMmu;
      function* start(): Path {
        yield spinLock(mmu.lock);
        const had = yield step("zap, flush later", () => {
          mmu.counters.begin([{ start: 0, end: 1 }]);
          return mmu.table.zap(0, 1);
        });
        if (had > 0 && !buggy) yield* mmu.flush();
        yield spinUnlock(mmu.lock);
        if (had > 0 && buggy) yield* mmu.flush();
      }
      function* end(): Path {
        yield step("mmu_invalidate_seq++", () => (mmu.counters.end(), 0));
      }
      const answers = (_: ShadowMmu, { phase }: MmuNotification): Path => (phase === "start" ? start() : end());
      const device = scene.device(shadowMmu({ tlb: true, answers, made: (it) => (mmu = it) }));
      for (let i = 0; i < 3; i++) scene.run(scene.access(device, 0, "write"));
      for (const cpu of ["cpu0", "cpu1"]) {
        scene.task(cpu, function* () {
          yield* unmapPage(scene, 0);
          return null;
        });
      }
      scene.accesses(device, 0, "write");
      return scene.model("two invalidations");
    },
  ],
  "an interval's user installs what it looked up without asking whether to retry": [
    "STALE-USE page 0",
    (buggy) => {
      const scene = new Scene({ bus: { invalidateSeqBits: 3 } });
      scene.map(0);
      let made!: Mirror;
      const device = scene.device(mirror({ readRetry: !buggy }, (it) => (made = it)));
      scene.run(made.insert());
      scene.accesses(device, 0, "write");
      scene.task("cpu0", function* () {
        yield* replacePage(scene, 0);
        return null;
      });
      return scene.model("no retry");
    },
  ],
  "a refused start keeps the lock": [
    "DEADLOCK mutex, IMBALANCE mutex",
    (buggy) => {
      const scene = new Scene();
      const { bus } = scene.k;
      const mutex = scene.lock("mutex", "mutex");
      const other = scene.word("a child is busy", 1);
      bus
        .notifications(scene.mm)
        .pipe(phases("start"))
        .subscribe((notification: MmuNotification) =>
          notification.waitUntil(function* () {
            if ((yield mutexTrylock(mutex)) === 0) {
              notification.refuse();
              return;
            }
            const busy = yield step("the child's lock", () => other.get());
            if (busy !== 0) notification.refuse();
            if (busy === 0 || !buggy) yield mutexUnlock(mutex);
          }),
        );
      scene.task("oom_reaper", function* () {
        yield* bus.invalidateRangeStartNonblock(scene.range(0));
        return null;
      });
      scene.task("destroy", function* () {
        yield mutexLock(mutex);
        yield mutexUnlock(mutex);
        return null;
      });
      return scene.model("a lock is left");
    },
  ],
  "a non-blockable start gives up waiting for the device and says that all is well": [
    "STALE-USE page 0",
    (buggy) => {
      const scene = new Scene();
      const { bus } = scene.k;
      const pfn = scene.map(0);
      bus
        .notifications(scene.mm)
        .pipe(phases("start"))
        .subscribe((notification: MmuNotification) => {
          if (!notification.blockable && !buggy) notification.refuse();
        });
      scene.task("oom_reaper", function* () {
        const range = scene.range(0, 1, "MMU_NOTIFY_UNMAP");
        if ((yield* bus.invalidateRangeStartNonblock(range)) !== 0) return null;
        yield scene.clear(0);
        yield scene.free(pfn);
        yield* scene.end(range);
        return null;
      });
      scene.task("job", function* () {
        yield step("the job writes page 0", () => {
          scene.oracle.use({ by: "job", mm: scene.mm, vpn: 0, pfn, write: true });
          return 0;
        });
        return null;
      });
      return scene.model("a job is running");
    },
  ],
  "a walker that keeps faulting from its cache never hears of an upgrade that was not flushed": [
    "LIVELOCK dev0",
    (buggy) => {
      const scene = new Scene();
      scene.map(0, READ_ONLY);
      const hitPolicy = buggy ? "fault-from-tlb" : "rewalk-on-permission-fault";
      const device = scene.device(iommu({ hears: ["arch-invalidate-secondary-tlbs"], hitPolicy }), {
        faults: {
          ...scene.hostFaults(),
          // iommu_sva_handle_mm() says success, and there is nothing to do.
          *handleMmFault() {
            return yield step("handle_mm_fault: spurious", () => 0);
          },
        },
      });
      scene.run(scene.access(device, 0, "read"));
      scene.task("cpu0", function* () {
        const range = scene.range(0, 1, "MMU_NOTIFY_PROTECTION_VMA");
        yield* scene.start(range);
        yield scene.change("pte_mkwrite", 0, (pte) => scene.k.pte.mkdirty(scene.k.pte.mkwrite(pte)));
        yield* scene.end(range);
        return null;
      });
      scene.accesses(device, 0, "write");
      return scene.model("mprotect without a flush");
    },
  ],
  "a cached address is reloaded between start and the clearing of the entry": [
    "STALE-USE page 0",
    (buggy) => {
      const scene = new Scene();
      const { bus } = scene.k;
      scene.map(0);
      const cached = scene.word("apic_access_page");
      const drop = function* (): Path {
        yield step("request a reload", () => (cached.set(0), 0));
      };
      bus
        .notifications(scene.mm)
        .pipe(phases(buggy ? "start" : "arch-invalidate-secondary-tlbs"))
        .subscribe((notification: MmuNotification) => notification.waitUntil(drop));
      scene.task(
        "vcpu0",
        function* (rounds: number) {
          yield step("reload if asked to", () => {
            if (cached.get() === 0) cached.set(scene.oracle.frameOf(scene.mm, 0));
            return FAULT_RETRY;
          });
          yield step("vcpu0 reads page 0", () => {
            if (cached.get() !== 0)
              scene.oracle.use({ by: "vcpu0", mm: scene.mm, vpn: 0, pfn: cached.get(), write: false });
            return 0;
          });
          return rounds === 2 ? null : [rounds + 1];
        },
        { locals: [0] },
      );
      scene.task("cpu0", function* () {
        yield* unmapPage(scene, 0);
        return null;
      });
      return scene.model("a side cache");
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
