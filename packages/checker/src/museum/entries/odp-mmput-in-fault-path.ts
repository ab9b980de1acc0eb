import { type MmuNotification, phases } from "@mmu-notifier/sdk";
import { mutexLock, mutexUnlock, type Path, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";

export const odpMmputInFaultPath: MuseumEntry = {
  id: "odp-mmput-in-fault-path",
  number: "G1",
  year: "2022",
  title: "the last mmput() happens under a mutex that the release callback wants",
  source: "85eaeb5058f0 IB/core: Fix a nested dead lock as part of ODP flow",
  class: "deadlock of callback and fault path",
  swaps: "driver",
  story:
    "A page-fault worker takes a reference to the mm and then the driver's mutex. The process exits meanwhile. The worker drops its reference, the last one, under the mutex: " +
    "that runs exit_mmap() and the release callback in the same task, and the callback waits for the mutex.",
  scenario:
    "Users of the mm are counted as in the kernel, and the last put runs the real bus's release. The driver is exchanged: it puts the mm before it unlocks, or after.",
  expect: [{ verdict: "DEADLOCK", object: "umem_mutex", steps: 6 }],
  model: (variant) => {
    const scene = new Scene();
    const { k, mm } = scene;
    const mutex = scene.lock("umem_mutex", "mutex");
    const released = scene.word("released");
    k.bus
      .notifications(mm)
      .named("odp")
      .pipe(phases("release"))
      .subscribe((notification: MmuNotification) => {
        notification.waitUntil(function* (): Path {
          yield mutexLock(mutex);
          yield step("ib_umem_odp_unmap_dma_pages", () => {
            released.set(1);
            return 0;
          });
          yield mutexUnlock(mutex);
        });
      });
    function* mmput(): Path {
      const left = yield step("mmput", () => k.mms.addUsers(mm, -1));
      if (left === 0) yield* k.bus.release(mm);
    }
    scene.task("fault worker", function* () {
      const alive = yield step("mmget_not_zero", () => {
        if (k.mms.users(mm) === 0) return 0;
        k.mms.addUsers(mm, 1);
        return 1;
      });
      if (alive === 0) return null;
      yield mutexLock(mutex);
      if (variant === "buggy") yield* mmput();
      yield mutexUnlock(mutex);
      if (variant === "fixed") yield* mmput();
      return null;
    });
    scene.task("exit", function* () {
      yield* mmput();
      return null;
    });
    return scene.model("a fault while the process exits", { reached: () => released.get() !== 0 });
  },
};
