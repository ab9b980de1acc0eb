import { InvalidateCounters, type MmuNotification, phases } from "@mmu-notifier/sdk";
import { step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { shadowMmu } from "../parts/shadow-driver.js";

const COUNT = "mmu_invalidate_in_progress";

export const mmnFailedStartNoEnd: MuseumEntry = {
  id: "mmn-failed-start-no-end",
  number: "B7",
  year: "2021",
  title: "one subscriber refuses a non-blockable start, and those told before it never get an end",
  source: "c2655835fd8c mm/mmu_notifiers: ensure range_end() is paired with range_start()",
  class: "start and end out of balance",
  swaps: "kernel",
  story:
    "The OOM reaper must not sleep, so its start may be refused with -EAGAIN. It then gives the range up, and calls no end. " +
    "A subscriber that was told before and counts its starts goes on counting one for ever: every fault of its guest in that range tries again, for ever.",
  scenario:
    "Two subscribers on the real bus: one counts with the real InvalidateCounters, the other refuses what it may not sleep for. The notifier core is exchanged, by a rule of the bus: " +
    "no end after a refused start, or an end for everybody who has one.",
  expect: [
    { verdict: "IMBALANCE", object: COUNT, steps: 8 },
    { verdict: "LIVELOCK", object: "dev0", steps: 10 },
  ],
  explore: { liveness: "task" },
  model: (variant) => {
    const scene = new Scene({ rules: { endsAfterRefusedStart: variant === "fixed" } });
    const { bus } = scene.k;
    scene.map(0);
    bus
      .notifications(scene.mm)
      .named("gpu")
      .pipe(phases("start"))
      .subscribe((notification: MmuNotification) => {
        if (!notification.blockable) notification.refuse();
      });
    let counters!: InvalidateCounters;
    const device = scene.device(
      shadowMmu({ counters: (context) => (counters = new InvalidateCounters(context, { seqBits: 2 })) }),
    );
    const over = scene.word("reaper is done");
    scene.task("oom_reaper", function* () {
      const range = scene.range(0, 1);
      yield* bus.invalidateRangeStartNonblock(range);
      yield step("-EAGAIN: give the range up", () => {
        over.set(1);
        return 0;
      });
      return null;
    });
    scene.accesses(device, 0, "write");
    return scene.model("a refused start", {
      invariants: [{ name: COUNT, verdict: "IMBALANCE", holds: () => over.get() === 0 || counters.inProgress === 0 }],
      reached: () => over.get() !== 0,
    });
  },
};
