import { type MmuNotification, pageRange, type Path, spinLock, spinUnlock, step } from "@mmu-notifier/sdk";
import type { Vm } from "./vm.js";

/** The event that this driver need not hear of. */
export const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";

/** The experiment of a filter in one callback alone: the other half of the pair is acted on. */
function filtered({ options: { filter, filterPhases } }: Vm, { phase, event }: MmuNotification): boolean {
  return filter && event === UPGRADE && filterPhases === phase;
}

/** kvm_mmu_notifier_invalidate_range_start(). Never fails and never sleeps, whatever the range's flags say. */
export function rangeStart(vm: Vm, notification: MmuNotification): void {
  if (filtered(vm, notification)) return;
  const { start, end } = pageRange(notification);
  notification.waitUntil(() => handleStart(vm, start, end));
}

function* handleStart(vm: Vm, start: number, end: number): Path {
  const { context, counters, memslots, shadow } = vm;
  const overlaps = yield step("mn_active_invalidate_count++", (task) => {
    counters.freeze();
    counters.raisedBy(task);
    vm.pfnCaches.invalidate(start, end);
    return memslots.overlaps(start, end).length;
  });
  // No slot, no lock: end makes the same decision, because slots are frozen until then.
  if (overlaps === 0) return;
  yield spinLock(counters.mmuLock);
  const zapped = yield step("kvm_unmap_gfn_range", () => {
    const ranges = memslots.overlaps(start, end);
    counters.begin(ranges);
    let count = 0;
    for (const range of ranges) count += shadow.zap(range.start, range.end);
    context.costs.count("zaps", count);
    return count;
  });
  if (zapped > 0) yield* vm.flushRemoteTlbs();
  yield spinUnlock(counters.mmuLock);
}

/** kvm_mmu_notifier_invalidate_range_end(): the mirror image of start. */
export function rangeEnd(vm: Vm, notification: MmuNotification): void {
  if (filtered(vm, notification)) return;
  const { start, end } = pageRange(notification);
  notification.waitUntil(() => handleEnd(vm, start, end));
}

function* handleEnd({ counters, memslots }: Vm, start: number, end: number): Path {
  const overlaps = yield step("memslots of the range", () => memslots.overlaps(start, end).length);
  if (overlaps > 0) {
    yield spinLock(counters.mmuLock);
    yield step("mmu_invalidate_seq++", () => {
      counters.end();
      return 0;
    });
    yield spinUnlock(counters.mmuLock);
  }
  yield step("mn_active_invalidate_count--", () => {
    counters.thaw();
    return 0;
  });
}

/** kvm_mmu_notifier_release() -> kvm_flush_shadow_all(): nothing is mapped, and nothing will be. */
export function* release(vm: Vm): Path {
  yield spinLock(vm.counters.mmuLock);
  yield step("kvm_flush_shadow_all", () => {
    vm.setReleased();
    vm.context.costs.count("zaps", vm.shadow.zap(0, Infinity));
    vm.pfnCaches.invalidate(0, Infinity);
    return 0;
  });
  yield* vm.flushRemoteTlbs();
  yield spinUnlock(vm.counters.mmuLock);
}
