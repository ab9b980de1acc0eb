import { isHeld, mutexLock, mutexUnlock, type Path } from "@mmu-notifier/steps";
import { phases, type MmuNotification } from "@mmu-notifier/sdk";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";

export const xeFolioLockInversion: MuseumEntry = {
  id: "xe-folio-lock-inversion",
  number: "G10",
  year: "2025",
  title: "the fault side takes a folio lock under the notifier lock, migration enters the notifier under folio locks",
  source: "2577b202458c drm/xe/userptr: fix notifier vs folio deadlock",
  class: "deadlock of callback and fault path",
  swaps: "driver",
  story:
    "Migration locks a batch of folios and then calls start, in which the driver takes its notifier lock. The driver's fault side marked pages dirty while it held the notifier lock, " +
    "which takes the folio's lock: each waits for the other.",
  scenario:
    "The locks, the order check and the wait-for graph of the checker; the callback runs on the real bus. The driver is exchanged: it marks the page dirty under its lock, or leaves that out.",
  expect: [
    { verdict: "DEADLOCK", object: "folio lock", steps: 3 },
    { verdict: "DEADLOCK", object: "migrate", steps: 3 },
  ],
  model: (variant) => {
    const scene = new Scene();
    scene.map(0);
    const notifierLock = scene.lock("notifier_lock", "mutex");
    const folioLock = scene.lock("folio lock", "mutex");
    scene.k.bus
      .notifications(scene.mm)
      .named("xe")
      .pipe(phases("start"))
      .subscribe((notification: MmuNotification) => {
        notification.waitUntil(function* (): Path {
          yield mutexLock(notifierLock);
          yield mutexUnlock(notifierLock);
        });
      });
    scene.task("populate", function* () {
      yield mutexLock(notifierLock);
      if (variant === "buggy") {
        yield mutexLock(folioLock);
        yield mutexUnlock(folioLock);
      }
      yield mutexUnlock(notifierLock);
      return null;
    });
    scene.task("migrate", function* () {
      const range = scene.range(0, 1, "MMU_NOTIFY_CLEAR");
      yield mutexLock(folioLock);
      yield* scene.start(range);
      yield* scene.end(range);
      yield mutexUnlock(folioLock);
      return null;
    });
    return scene.model("migration against a fault", { reached: () => isHeld(notifierLock) && isHeld(folioLock) });
  },
};
