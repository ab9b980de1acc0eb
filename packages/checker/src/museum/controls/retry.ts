import { ptePfn } from "@mmu-notifier/core";
import { type MmuNotification, phases } from "@mmu-notifier/sdk";
import { type Path, spinLock, spinUnlock, step } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumControl } from "../entry.js";
import { unmapPage } from "../parts/kernel-paths.js";

const SEQ_MASK = 3;

/** The control about the retry protocol. */
export const retryControl: MuseumControl = {
  id: "kvm-retry-under-mmu-lock",
  about:
    "end moves the sequence and then takes its count back; a fault that reads the two in the wrong order would need barriers if it did so without the lock. Under mmu_lock on both sides it needs none.",
  models: [
    () => {
      const scene = new Scene();
      const { k, mm, oracle } = scene;
      scene.map(0);
      const lock = scene.lock("mmu_lock", "spinlock");
      const [seq, count, spte] = [scene.word("mmu_invalidate_seq"), scene.word("in_progress"), scene.word("spte")];
      const does = (label: string, what: () => void) =>
        step(label, () => {
          what();
          return 0;
        });
      k.bus
        .notifications(mm)
        .pipe(phases("start", "end"))
        .subscribe((notification: MmuNotification) => {
          notification.waitUntil(function* (): Path {
            yield spinLock(lock);
            if (notification.phase === "start")
              yield does("in_progress++, zap", () => {
                count.set(count.get() + 1);
                spte.set(0);
              });
            else {
              yield does("mmu_invalidate_seq++", () => seq.set((seq.get() + 1) & SEQ_MASK));
              yield does("in_progress--", () => count.set(count.get() - 1));
            }
            yield spinUnlock(lock);
          });
        });
      scene.task("vcpu0", function* () {
        const sampled = yield step("sample", () => seq.get());
        const found = yield step("get_user_page(page 0)", () => oracle.frameOf(mm, 0));
        if (found === 0) return null;
        yield spinLock(lock);
        const now = yield step("read mmu_invalidate_seq", () => seq.get());
        const under = yield step("read in_progress", () => count.get());
        if (now === sampled && under === 0) yield does("install spte", () => spte.set(found));
        yield spinUnlock(lock);
        const used = yield step("vcpu0 writes page 0", () => {
          const pfn = spte.get();
          if (pfn !== 0) oracle.use({ by: "vcpu0", mm, vpn: 0, pfn, write: true });
          return pfn;
        });
        return used === 0 ? [] : null;
      });
      scene.task("cpu0", function* () {
        yield* unmapPage(scene, 0);
        return null;
      });
      return scene.model("a fault that reads in the wrong order", {
        reached: () => spte.get() !== 0 && ptePfn(oracle.pte(mm, 0)) !== 0,
      });
    },
  ],
};
