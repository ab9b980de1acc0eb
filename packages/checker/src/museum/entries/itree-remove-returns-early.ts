import { type Path, spinLock, spinUnlock, step, waitFor } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";

/** States of the interval's row. */
const FREED = 0;
const IN_TREE = 1;
const DEFERRED = 2;
const REMOVED = 3;
/** invalidate_seq while somebody invalidates: odd. */
const INVALIDATING = 3;

export const itreeRemoveReturnsEarly: MuseumEntry = {
  id: "itree-remove-returns-early",
  number: "C18",
  year: "2022",
  title: "mmu_interval_notifier_remove() reads the sequence without the lock and returns too early",
  source: "319561669a59 mm/mmu_notifier.c: fix race in mmu_interval_notifier_remove()",
  class: "interval tree, deferred removal",
  swaps: "kernel",
  story:
    "While an invalidation is under way the tree is frozen, and a removal is put on a list for the last one to do. Who removes waits until the sequence has moved. " +
    "The sequence moves before the list is worked off, under a lock that the waiter did not take: it returns, its caller frees the interval, and the list still points to it.",
  scenario:
    "subscriptions->lock, invalidate_seq and the deferred list of mm/mmu_notifier.c step by step, finer than the project's bus, for which all of it is one step. The kernel's path is exchanged: " +
    "the waiter looks without the lock, or under it.",
  expect: [{ verdict: "UAF", object: "interval notifier", steps: 8 }],
  model: (variant) => {
    const scene = new Scene();
    const lock = scene.lock("subscriptions->lock", "spinlock");
    const seq = scene.word("invalidate_seq", INVALIDATING);
    const interval = scene.word("interval", IN_TREE);
    const isFree = waitFor("wait_event(invalidate_seq != seq)", () => seq.get() !== INVALIDATING);

    function* invalidateEnd(): Path<null> {
      yield spinLock(lock);
      yield step("invalidate_seq++", () => {
        seq.set(seq.get() + 1);
        return 0;
      });
      yield step("interval_tree_remove(the deferred ones)", () => {
        if (interval.get() === FREED)
          scene.oracle.record(
            "UAF",
            "interval notifier",
            "mn_itree_inv_end() removes an interval that its driver has freed",
          );
        if (interval.get() === DEFERRED) interval.set(REMOVED);
        return 0;
      });
      yield spinUnlock(lock);
      return null;
    }

    function* remove(): Path<null> {
      yield spinLock(lock);
      const waits = yield step("mmu_interval_notifier_remove", () => {
        const frozen = seq.get() % 2 === 1;
        interval.set(frozen ? DEFERRED : REMOVED);
        return frozen ? 1 : 0;
      });
      yield spinUnlock(lock);
      if (waits !== 0) {
        yield isFree;
        if (variant === "fixed") {
          yield spinLock(lock);
          yield spinUnlock(lock);
        }
      }
      yield step("kfree(interval)", () => {
        interval.set(FREED);
        return 0;
      });
      return null;
    }

    scene.task("cpu0", invalidateEnd);
    scene.task("cpu1", remove);
    return scene.model("a removal while the last invalidation ends", { reached: () => interval.get() === DEFERRED });
  },
};
