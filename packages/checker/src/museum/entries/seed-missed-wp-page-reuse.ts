import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { mappingAfterFork } from "../parts/mappings.js";
import { upgradedUnderDevice } from "./smmu-nobtm-upgrade-livelock.js";

export const seedMissedWpPageReuse: MuseumEntry = {
  id: "seed-missed-wp-page-reuse",
  number: "A4",
  year: "2023",
  title: "the patch itself says nothing in wp_page_reuse(), the commonest way from read-only to writable",
  source: "derived: the patch of 21 May 2023 read against mm/memory.c of v6.4.6",
  class: "missing notification",
  swaps: "kernel",
  story:
    "fork() write-protects a page, the child goes away, and the page is the parent's alone again. A device reads it, and its IOTLB keeps a read-only entry. " +
    "The device writes, and do_wp_page() finds that it may reuse the page: wp_page_reuse() sets the write bit, and the patch has no event there. " +
    "From then on the fault handler finds nothing to do, and sends nothing.",
  scenario:
    "fork(2), munmap(2) in the child and the fault path are the real ones. The kernel is exchanged: v6.4+upgrade-event is the patch as written, " +
    "v6.4+upgrade-event-fixed sends the event from every place that gains a right.",
  expect: [{ verdict: "LIVELOCK", object: "dev0", steps: 29 }],
  explore: { liveness: "task" },
  model: (variant) => {
    const scene = new Scene({ kernel: variant === "buggy" ? "v6.4+upgrade-event" : "v6.4+upgrade-event-fixed" });
    return upgradedUnderDevice(scene, mappingAfterFork(scene));
  },
};
