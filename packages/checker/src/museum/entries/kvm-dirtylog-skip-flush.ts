import { ShadowTable } from "@mmu-notifier/sdk";
import { type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { shadowMmu } from "../parts/shadow-driver.js";
import type { ShadowMmu } from "../parts/shadow-mmu.js";

const FRAME = "guest frame 0";

export const kvmDirtylogSkipFlush: MuseumEntry = {
  id: "kvm-dirtylog-skip-flush",
  number: "B12",
  year: "2011",
  title: "a thread finds the frame write-protected already, and skips the flush that another has yet to do",
  source: "6dbf79e7164e KVM: MMU: get_dirty_log holds mmu_lock until flush; the race came with 95d4c16ce78c",
  class: "flush elision, stale permission",
  swaps: "driver",
  story:
    "To read the dirty log KVM takes the write right from the shadow entries, dropped its lock, and flushed the vCPUs' TLBs afterwards. " +
    "Another thread that needs the frame write-protected finds that it is, flushes nothing, and believes that nobody can write. A vCPU still writes through its TLB.",
  scenario:
    "A shadow table under a vCPU's TLB, both the sdk's. The driver is exchanged: the lock is dropped before the flush, or after it.",
  expect: [
    { verdict: "STALE-PERM", object: FRAME, steps: 9 },
    { verdict: "LOST-DIRTY", object: FRAME, steps: 9 },
  ],
  model: (variant) => {
    const scene = new Scene();
    scene.map(0);
    let mmu!: ShadowMmu;
    const device = scene.device(shadowMmu({ tlb: true, made: (it) => (mmu = it) }));
    for (let tries = 0; tries < 2; tries++) scene.run(scene.access(device, 0, "write"));
    const protectedAt = scene.word("believed write-protected");

    function* protect(flushesUnlocked: boolean): Path {
      yield spinLock(mmu.lock);
      const had = yield step("write-protect spte 0", () => mmu.table.writeProtect(0, 1));
      if (had > 0 && !flushesUnlocked) yield* mmu.flush();
      yield spinUnlock(mmu.lock);
      if (had > 0 && flushesUnlocked) yield* mmu.flush();
    }
    scene.task("get_dirty_log", function* () {
      yield* protect(variant === "buggy");
      return null;
    });
    scene.task("sync_children", function* () {
      yield* protect(false);
      yield step("rely on the write protection", () => {
        protectedAt.set(1);
        return 0;
      });
      return null;
    });
    scene.task("vcpu0", function* () {
      const written = (): void => {
        if (protectedAt.get() === 0) return;
        scene.oracle.record("STALE-PERM", FRAME, "vcpu0 writes to a frame that a thread has found write-protected");
        scene.oracle.record(
          "LOST-DIRTY",
          FRAME,
          "vcpu0 writes to a frame after its dirty bit was collected, and nobody learns of it",
        );
      };
      yield* scene.access(device, 0, "write", 1, written);
      return null;
    });
    return scene.model("two threads write-protect a frame", {
      reached: () => protectedAt.get() !== 0 && ShadowTable.pfn(mmu.table.get(0)) !== 0,
    });
  },
};
