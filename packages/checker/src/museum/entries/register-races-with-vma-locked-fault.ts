import { mmHandle } from "@mmu-notifier/core";
import { InvalidateCounters } from "@mmu-notifier/sdk";
import { downRead, downWrite, type Path, upRead, upWrite } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";
import { replacePage } from "../parts/kernel-paths.js";
import { shadowMmu } from "../parts/shadow-driver.js";

const COUNT = "mmu_invalidate_in_progress";

export const registerRacesWithVmaLockedFault: MuseumEntry = {
  id: "register-races-with-vma-locked-fault",
  number: "C17",
  year: "2023",
  title: "a notifier is registered between the start and the end of a fault under a per-VMA lock",
  source: "eeff9a5d47f8 mm/mmap: prevent pagefault handler from racing with mmu_notifier registration",
  class: "registration race",
  swaps: "kernel",
  story:
    "Registration takes mmap_lock for writing and every lock under which entries change, so that it never falls between a start and its end. Then faults came to run under a lock of their VMA alone. " +
    "The new subscriber gets an end without a start, and may already have looked up the page that the fault is about to replace.",
  scenario:
    "The real registration of the bus, with mm_take_all_locks() given by the scene; a copy-on-write under the VMA's lock, a driver that maps the page as soon as it is registered. " +
    "The kernel's path is exchanged: the VMA's lock is left out, or taken.",
  expect: [
    { verdict: "IMBALANCE", object: COUNT, steps: 25 },
    { verdict: "STALE-USE", object: "page 0", steps: 37 },
  ],
  model: (variant) => {
    const scene = new Scene();
    const { k, mm } = scene;
    const { bus } = k;
    const old = scene.map(0);
    const vmaLock = scene.lock("vm_lock", "rwsem");
    const given = mmHandle(k, mm);
    bus.attach({
      ...given,
      *takeAllLocks(): Path<number> {
        const error = yield* given.takeAllLocks();
        if (variant === "fixed") yield downWrite(vmaLock);
        return error;
      },
      *dropAllLocks(): Path {
        if (variant === "fixed") yield upWrite(vmaLock);
        yield* given.dropAllLocks();
      },
    });
    let subscription = 0;
    let counters!: InvalidateCounters;
    const device = scene.device(
      shadowMmu({
        counters: (context) => (counters = new InvalidateCounters(context, { seqBits: 2 })),
        joins: (stream, observer) => {
          const prepared = bus.prepare(stream, observer);
          ({ subscription } = prepared);
          return prepared.stream;
        },
      }),
    );
    scene.task("fault", function* () {
      yield downRead(vmaLock);
      yield* replacePage(scene, 0);
      yield upRead(vmaLock);
      return null;
    });
    scene.task(
      "dev0",
      function* (registered: number) {
        if (registered === 0) yield* bus.register(subscription, mm);
        return (yield* scene.access(device, 0, "write")) === 0 ? [1] : null;
      },
      { locals: [0] },
    );
    return scene.model("registration during a fault", {
      invariants: [{ name: COUNT, verdict: "IMBALANCE", holds: () => counters.inProgress >= 0 }],
      reached: () => scene.oracle.frameOf(mm, 0) !== old && device.binding.entries().length > 0,
    });
  },
};
