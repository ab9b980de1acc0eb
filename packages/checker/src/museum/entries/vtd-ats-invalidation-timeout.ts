import {
  CommandQueue,
  type Command,
  defineSecondaryMmu,
  OPCODES,
  atcInv,
  abortOnFault,
  chain,
  phases,
} from "@mmu-notifier/sdk";
import { spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";

/** VT-d's words for what the queue carries. */
const NAMES = { [OPCODES.CMD_ATC_INV]: "dev_tlb_inv", [OPCODES.CMD_SYNC]: "inv_wait_desc" };

export const vtdAtsInvalidationTimeout: MuseumEntry = {
  id: "vtd-ats-invalidation-timeout",
  number: "F11",
  year: "2024",
  title: "a device-TLB invalidation is sent to a device whose ATS is off already, and never completes",
  source:
    "4fc82cd907ac iommu/vt-d: Don't issue ATS Invalidation request when device is disconnected; 1f2557e08a61 Remove cache tags before disabling ATS",
  class: "hardware command that never completes",
  swaps: "driver",
  story:
    "When a device was taken away, ATS was disabled first and the device left the list of those to be flushed second. A flush in between sends an invalidation that nobody answers: " +
    "the queue stands still, its lock is held, and every other device's flush waits behind it.",
  scenario:
    "The sdk's command queue with a target that loses the completion of a device that is gone; two flushes share the queue's lock. " +
    "The driver is exchanged: ATS is disabled before the device leaves the list, or after.",
  expect: [{ verdict: "HANG", object: "CMD_SYNC: wait", steps: 5 }],
  model: (variant) => {
    const scene = new Scene();
    const lock = scene.lock("q_lock", "spinlock");
    const ats = scene.word("ATS", 1);
    const listed = scene.word("cache tag", 1);
    const lost = scene.word("completion lost");
    let queue!: CommandQueue;
    scene.device(
      defineSecondaryMmu({
        name: "vt-d",
        sdk: 1,
        summary: "an invalidation queue",
        declares: {
          pageTable: "shared-walk",
          onMissingRight: "fault",
          resolvesFaultsInSoftware: false,
          reachedByBroadcast: [],
          filters: [],
        },
        create(context) {
          queue = new CommandQueue(context, {
            names: NAMES,
            target: {
              execute: ({ opcode }: Command) => {
                if (opcode === OPCODES.CMD_ATC_INV && ats.get() === 0) lost.set(1);
              },
              drained: () => lost.get() === 0,
            },
          });
          return {
            translation: chain(context.walker),
            connection: context.notifications.pipe(phases("release")).subscribe(),
            fault: abortOnFault(),
            *unbind() {},
            entries: () => [],
          };
        },
      }),
    );
    for (const flush of ["flush of the device", "flush of another"]) {
      scene.task(flush, function* () {
        yield spinLock(lock);
        const mine = flush === "flush of the device" ? yield step("cache tags", () => listed.get()) : 0;
        yield* queue.issue(mine === 0 ? [] : [atcInv(0, 0, 0, 1)]);
        yield spinUnlock(lock);
        return null;
      });
    }
    scene.task("unplug", function* () {
      const disable = step("disable ATS", () => {
        ats.set(0);
        return 0;
      });
      if (variant === "buggy") yield disable;
      yield spinLock(lock);
      yield step("remove the cache tag", () => {
        listed.set(0);
        return 0;
      });
      yield spinUnlock(lock);
      if (variant === "fixed") yield disable;
      return null;
    });
    return scene.model("a device goes while its translations are flushed", { reached: () => ats.get() === 0 });
  },
};
