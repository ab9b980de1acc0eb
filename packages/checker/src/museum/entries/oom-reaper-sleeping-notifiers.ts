import { type MmuNotification, phases } from "@mmu-notifier/sdk";
import { mutexLock, mutexTrylock, mutexUnlock, type Path, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";

export const oomReaperSleepingNotifiers: MuseumEntry = {
  id: "oom-reaper-sleeping-notifiers",
  number: "C24",
  year: "2017",
  title: "the OOM reaper waits in a driver for a thread that waits for memory",
  source:
    "4d4bbd8526a8 mm, oom_reaper: skip mm structs with mmu notifiers; 93065ac753e4 mm, oom: distinguish blockable mode for mmu notifiers",
  class: "sleeping where nobody may",
  swaps: "driver",
  story:
    "The OOM reaper takes memory from a process so that others can go on. Its start calls a driver, which waits for a mutex. " +
    "Who holds the mutex is allocating memory, and waits for the reaper.",
  scenario:
    "A reaper on the real bus, a thread that allocates under the driver's mutex; waiting for memory is an edge of the wait-for graph. " +
    "The driver is exchanged: it waits for its mutex, or it tries it and answers a non-blockable start with -EAGAIN.",
  expect: [
    { verdict: "DEADLOCK", object: "driver mutex", steps: 3 },
    { verdict: "DEADLOCK", object: "ioctl", steps: 11 },
  ],
  model: (variant) => {
    const scene = new Scene();
    const { k, mm } = scene;
    scene.map(0);
    const mutex = scene.lock("driver mutex", "mutex");
    const memory = scene.completion("memory");
    const told = scene.word("the driver was told");
    const invalidate = step("invalidate", () => {
      told.set(1);
      return 0;
    });
    k.bus
      .notifications(mm)
      .named("driver")
      .pipe(phases("start"))
      .subscribe((notification: MmuNotification) => {
        notification.waitUntil(function* (): Path {
          if (notification.blockable) yield mutexLock(mutex);
          else if ((yield mutexTrylock(mutex)) === 0) {
            notification.refuse();
            return;
          }
          yield invalidate;
          yield mutexUnlock(mutex);
        });
      });
    scene.task("oom_reaper", function* () {
      const range = scene.range(0, 1, "MMU_NOTIFY_UNMAP");
      yield memory.begin;
      const error = yield* variant === "buggy" ? scene.start(range) : k.bus.invalidateRangeStartNonblock(range);
      if (error === 0) {
        yield scene.clear(0);
        yield* scene.end(range);
      }
      yield memory.complete;
      return null;
    });
    scene.task("ioctl", function* () {
      yield mutexLock(mutex);
      yield memory.wait;
      yield memory.waited;
      yield mutexUnlock(mutex);
      return null;
    });
    return scene.model("out of memory", { reached: () => told.get() !== 0 });
  },
};
