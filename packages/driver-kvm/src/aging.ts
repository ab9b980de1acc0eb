import { type MmuNotification, pageRange, type Path, spinLock, spinUnlock, step } from "@mmu-notifier/sdk";
import type { Vm } from "./vm.js";

/** kvm_mmu_notifier_clear_flush_young(), clear_young() and test_young(). */
export function age(vm: Vm, notification: MmuNotification): void {
  const { start, end } = pageRange(notification);
  notification.waitUntil(function* () {
    const young = yield* handle(vm, notification.phase, start, end);
    if (young > 0) notification.reportYoung();
  });
}

function* handle(vm: Vm, phase: MmuNotification["phase"], start: number, end: number): Path<number> {
  const { counters, memslots, options, shadow } = vm;
  const tests = phase === "test-young";
  yield spinLock(counters.mmuLock);
  const young = yield step(tests ? "kvm_test_age_gfn" : "kvm_age_gfn", () => {
    let count = 0;
    for (const range of memslots.overlaps(start, end))
      count += tests ? shadow.young(range.start, range.end) : shadow.age(range.start, range.end);
    return count;
  });
  // Without a flush a vCPU that has the translation cached does not set A again: "old" may be false, which is accepted.
  if (young > 0 && phase === "clear-flush-young" && !options.elideFlushIfYoung) yield* vm.flushRemoteTlbs();
  yield spinUnlock(counters.mmuLock);
  return young;
}
