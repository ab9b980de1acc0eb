import { type MmuNotification, phases } from "@mmu-notifier/sdk";
import {
  downRead,
  downWrite,
  mutexLock,
  mutexUnlock,
  type Path,
  Srcu,
  step,
  upRead,
  upWrite,
  waitFor,
} from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import { exploreScene, Scene, type SceneModel } from "../src/index.js";

/** Bugs of lifetimes, grace periods and work that are not in the museum, each in a few lines. */
const BUGS: Readonly<Record<string, readonly [string, (buggy: boolean) => SceneModel]>> = {
  "a driver frees its notifier without a grace period": [
    "UAF struct hmm",
    (buggy) => {
      const scene = new Scene();
      const srcu = new Srcu(scene.memory, "mmu_notifier");
      const hmm = scene.object("struct hmm");
      const hashed = scene.word("on the list", 1);
      scene.task("invalidate", function* () {
        const index = yield srcu.readLock();
        const found = yield step("hlist_for_each_entry_srcu", () => hashed.get());
        if (found !== 0) yield step("ops->invalidate_range_start", () => (hmm.use("the walk of the list"), 0));
        yield srcu.readUnlock(index);
        return null;
      });
      scene.task("close", function* () {
        yield step("hlist_del_init_rcu", () => (hashed.set(0), 0));
        if (!buggy) yield* srcu.synchronize();
        yield step("kfree", () => (hmm.free("close"), 0));
        return null;
      });
      return scene.model("unregister_no_release", { reached: () => hmm.isFreed });
    },
  ],
  "release goes over its mirrors after it has dropped their lock": [
    "UAF mirror",
    (buggy) => {
      const scene = new Scene();
      const { k, mm } = scene;
      const lock = scene.lock("mirrors_sem", "rwsem");
      const mirror = scene.object("mirror");
      const listed = scene.word("listed", 1);
      const { bus } = k;
      const release = function* (): Path {
        yield mutexLock(lock);
        const found = yield step("first mirror", () => listed.get());
        if (buggy) yield mutexUnlock(lock);
        if (found !== 0) yield step("mirror->ops->release", () => (mirror.use("hmm_release"), 0));
        if (!buggy) yield mutexUnlock(lock);
      };
      bus
        .notifications(mm)
        .pipe(phases("release"))
        .subscribe((notification: MmuNotification) => notification.waitUntil(release));
      scene.task("exit", function* () {
        yield* bus.release(mm);
        return null;
      });
      scene.task("mirror_unregister", function* () {
        yield mutexLock(lock);
        yield step("list_del", () => (listed.set(0), 0));
        yield mutexUnlock(lock);
        yield step("kfree(mirror)", () => (mirror.free("unregister"), 0));
        return null;
      });
      return scene.model("release against unregister");
    },
  ],
  "a driver unpins an ASID of an mm that it holds no reference to": [
    "UAF mm_struct",
    (buggy) => {
      const scene = new Scene();
      const mm = scene.object("mm_struct");
      const count = scene.word("mm_count", buggy ? 1 : 2);
      const drop = (by: string): number => {
        count.set(count.get() - 1);
        if (count.get() === 0) mm.free(by);
        return 0;
      };
      scene.task("exit", function* () {
        yield step("mmdrop", () => drop("exit"));
        return null;
      });
      scene.task("unbind", function* () {
        yield step("arm64_mm_context_put", () => (mm.use("unbind"), 0));
        if (!buggy) yield step("mmdrop", () => drop("unbind"));
        return null;
      });
      return scene.model("unbind after exit");
    },
  ],
  "release waits for a worker that waits for release": [
    "DEADLOCK restore work",
    (buggy) => {
      const scene = new Scene();
      const { k, mm } = scene;
      const work = scene.completion("restore work");
      const released = scene.completion("exit_mmap");
      const { bus } = k;
      bus
        .notifications(mm)
        .pipe(phases("release"))
        .subscribe((notification: MmuNotification) => {
          if (buggy)
            notification.waitUntil(function* () {
              yield work.wait;
              yield work.waited;
            });
        });
      scene.task("exit", function* () {
        yield released.begin;
        yield* bus.release(mm);
        yield released.complete;
        if (!buggy) {
          yield work.wait;
          yield work.waited;
        }
        return null;
      });
      scene.task("worker", function* () {
        yield work.begin;
        yield released.wait;
        yield released.waited;
        yield work.complete;
        return null;
      });
      return scene.model("flush_work in release");
    },
  ],
  "a driver takes its interval out of the tree inside its own invalidate": [
    "DEADLOCK wait_event(mmu_notifier_subscriptions->wq): schedule",
    (buggy) => {
      const scene = new Scene({ bus: { invalidateSeqBits: 3 } });
      const { bus } = scene.k;
      const wanted = scene.word("a worker is to split it");
      const interval: number = bus.allocInterval(
        bus.defineIntervalOps({
          name: "nouveau",
          *invalidate(which, _range, curSeq): Path<boolean> {
            yield* bus.intervalSetSeq(which, curSeq);
            if (buggy) yield* bus.intervalRemove(which);
            else yield step("schedule_work", () => (wanted.set(1), 0));
            return true;
          },
        }),
      );
      scene.run(bus.intervalInsert(interval, scene.mm, 0, 4096));
      scene.task("munmap", function* () {
        const range = scene.range(0, 1, "MMU_NOTIFY_UNMAP");
        yield* scene.start(range);
        yield* scene.end(range);
        return null;
      });
      if (!buggy) {
        scene.task("worker", function* () {
          yield waitFor("work", () => wanted.get() !== 0);
          yield* bus.intervalRemove(interval);
          return null;
        });
      }
      return scene.model("a split in the callback");
    },
  ],
  "release takes mmap_lock, and the last put of the driver comes from munmap": [
    "DEADLOCK mmap_lock of mm1",
    (buggy) => {
      const scene = new Scene();
      const { k, mm } = scene;
      const lock = k.mms.mmapLock(mm);
      const connection = k.bus
        .notifications(mm)
        .pipe(phases("release"))
        .subscribe((notification: MmuNotification) =>
          notification.waitUntil(function* () {
            if (!buggy) return;
            yield downRead(lock);
            yield upRead(lock);
          }),
        );
      scene.task("munmap", function* () {
        yield downWrite(lock);
        yield* k.bus.unregister(k.bus.subscriptionOf(connection), mm);
        yield upWrite(lock);
        return null;
      });
      return scene.model("vm_ops->close");
    },
  ],
  "a callback sleeps in a range that may not": [
    "CONTEXT oom_reaper",
    (buggy) => {
      const scene = new Scene();
      const { bus } = scene.k;
      bus
        .notifications(scene.mm)
        .pipe(phases("start"))
        .subscribe((notification: MmuNotification) =>
          notification.waitUntil(function* () {
            if (buggy || notification.blockable) yield waitFor("cond_resched_lock", () => true);
          }),
        );
      scene.task("oom_reaper", function* () {
        yield* bus.invalidateRangeStartNonblock(scene.range(0));
        return null;
      });
      return scene.model("a non-blockable start");
    },
  ],
};

describe.each(Object.entries(BUGS))("%s", (_name, [verdicts, model]) => {
  it("is found", () => {
    const { found } = exploreScene(model(true));

    expect(found.map(({ verdict, object }) => `${verdict} ${object}`)).toContain(verdicts);
  });

  it("is gone when it is fixed", () => {
    const { complete, found } = exploreScene(model(false));

    expect([complete, found.map(({ verdict, what }) => `${verdict}: ${what}`)]).toEqual([true, []]);
  });
});
