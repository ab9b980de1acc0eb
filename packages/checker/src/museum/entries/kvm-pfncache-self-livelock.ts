import { InvalidateCounters, type MmuNotification, phases } from "@mmu-notifier/sdk";
import { spinUntil, step, type Path } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { replacePage } from "../parts/kernel-paths.js";
import { shadowMmu } from "../parts/shadow-driver.js";

/** Where the cache's own mapping lies: not the page that it caches. */
const ELSEWHERE = 9;

export const kvmPfncacheSelfLivelock: MuseumEntry = {
  id: "kvm-pfncache-self-livelock",
  number: "B14",
  year: "2024",
  title:
    "a cache of a translation is refreshed until nothing was invalidated, and its own refresh invalidates something",
  source: "D. Woodhouse, KVM: Avoid livelock in pfncache hva_to_pfn_retry(); range-based invalidation check",
  class: "livelock",
  swaps: "driver",
  story:
    "KVM keeps some guest pages mapped for itself. The refresh samples the sequence, looks the page up, maps it, and starts over if the sequence has moved. " +
    "The sequence is one for the whole guest: if mapping raises a notification of its own, for whatever page, no round is ever good.",
  scenario:
    "The real InvalidateCounters on the real bus; the map step sends start and end for an unrelated page, and migration moves the cached page meanwhile. " +
    "The driver is exchanged: it compares the sequence, or a mark of its own that starts of its page set.",
  expect: [{ verdict: "LIVELOCK", object: "vcpu0", steps: 94 }],
  explore: { liveness: "task" },
  model: (variant) => {
    const scene = new Scene();
    const { k, mm, oracle } = scene;
    scene.map(0);
    let counters!: InvalidateCounters;
    const invalidated = scene.word("needs_invalidation");
    const valid = scene.word("gpc->valid");
    k.bus
      .notifications(mm)
      .named("pfncache")
      .pipe(phases("start"))
      .subscribe((notification: MmuNotification) => {
        if (notification.start > 0) return;
        notification.waitUntil(function* (): Path {
          yield step("gpc: mark the page invalidated", () => {
            invalidated.set(1);
            valid.set(0);
            return 0;
          });
        });
      });
    // Joins last and is told first: the count goes up before the cache is marked.
    scene.device(
      shadowMmu({
        slot: { exists: () => true, freezes: true },
        counters: (context) => (counters = new InvalidateCounters(context, { seqBits: 2 })),
      }),
    );
    const faults = scene.hostFaults();

    scene.task("vcpu0", function* () {
      const seq = yield spinUntil(
        "no invalidation is under way: sample",
        () => counters.mnActive === 0,
        () => {
          invalidated.set(0);
          return counters.seq;
        },
      );
      const found = yield* faults.getUserPages(0, { write: true });
      if (found < 0) return [];
      const range = scene.range(ELSEWHERE);
      yield* scene.start(range);
      yield* scene.end(range);
      const good = yield step("retry?", () => {
        const moved = variant === "buggy" ? counters.seq !== seq : invalidated.get() !== 0;
        if (moved || counters.mnActive !== 0) return 0;
        valid.set(1);
        return 1;
      });
      if (good === 0) return [];
      yield step("vcpu0 writes page 0", () => {
        if (valid.get() !== 0) oracle.use({ by: "vcpu0", mm, vpn: 0, pfn: Math.floor(found / 2), write: true });
        return 0;
      });
      return null;
    });
    scene.task("cpu0", function* () {
      yield* replacePage(scene, 0);
      return null;
    });
    return scene.model("a refresh that invalidates", { reached: () => invalidated.get() !== 0 });
  },
};
