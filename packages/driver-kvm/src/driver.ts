import {
  type Binding,
  type BindingContext,
  chain,
  exceptEvents,
  type Memslot,
  MEMSLOT_LOG_DIRTY,
  type MmuNotification,
  type Path,
  phases,
  spinLock,
  spinUnlock,
  step,
  waitEvent,
} from "@mmu-notifier/sdk";
import { age } from "./aging.js";
import type { KvmOptions } from "./config.js";
import { GuestWalk, handleFault } from "./fault.js";
import { rangeEnd, rangeStart, release, UPGRADE } from "./invalidate.js";
import { VM_TAG, Vm } from "./vm.js";

/** What a virtual machine can do beside what every binding can. */
export interface KvmBinding extends Binding {
  readonly vm: Vm;
  /** KVM_SET_USER_MEMORY_REGION: adds a slot once no notifier call is between start and end; returns its number. */
  addMemslot(slot: Memslot): Path<number>;
  /** The same for removing one: its frames are zapped first. */
  removeMemslot(slot: number): Path;
  /** KVM_MEM_LOG_DIRTY_PAGES for a slot: from now on writes of the guest are recorded. */
  startDirtyLog(slot: number): Path;
  /** KVM_GET_DIRTY_LOG of a slot: how many frames were written since the last call; their mappings are write-protected again. */
  getDirtyLog(slot: number): Path<number>;
  /** A gfn_to_pfn_cache of a guest frame; at set-up. */
  addPfnCache(gfn: number): number;
  /** kvm_gpc_refresh(): 0 or -EFAULT. */
  refreshPfnCache(cache: number): Path<number>;
}

/** kvm_create_vm(): a virtual machine whose memory is an address space. */
export function bind(context: BindingContext<undefined, KvmOptions>): KvmBinding {
  const vm = new Vm(context);
  const walk = new GuestWalk(vm);
  // Left out at the list, the event costs nothing, and start and end cannot disagree.
  const { filter, filterPhases } = context.options;
  const unheard = filter && filterPhases === "both" ? ([UPGRADE] as const) : [];
  return {
    vm,
    translation: chain(
      vm.tlb.stage(() => VM_TAG, walk),
      walk,
    ),
    connection: context.notifications
      .pipe(
        phases("start", "end", "clear-flush-young", "clear-young", "test-young", "release"),
        exceptEvents(...unheard),
      )
      .subscribe((notification: MmuNotification) => notified(vm, notification)),
    fault: { name: "software", handle: (fault) => handleFault(vm, fault) },
    unbind: () => release(vm),
    entries: () => vm.entries(),
    deviceAddress: (vpn) => vm.memslots.gfnOf(vpn),
    addMemslot: (slot) => addMemslot(vm, slot),
    removeMemslot: (slot) => removeMemslot(vm, slot),
    startDirtyLog: (slot) => startDirtyLog(vm, slot),
    getDirtyLog: (slot) => getDirtyLog(vm, slot),
    addPfnCache: (gfn) => vm.pfnCaches.add(gfn),
    refreshPfnCache: (cache) => vm.pfnCaches.refresh(cache, context.faults),
  };
}

function notified(vm: Vm, notification: MmuNotification): void {
  switch (notification.phase) {
    case "start":
      rangeStart(vm, notification);
      break;
    case "end":
      rangeEnd(vm, notification);
      break;
    case "release":
      notification.waitUntil(() => release(vm));
      break;
    default:
      age(vm, notification);
  }
}

/** kvm_swap_active_memslots(): waits until no start is without its end, so that both see the same slots. */
function* swapMemslots(vm: Vm, change: () => number): Path<number> {
  const { counters } = vm;
  for (;;) {
    yield* waitEvent(counters.memslotWaiters, () => counters.mnActive === 0);
    const result = yield step("kvm_swap_active_memslots", () => (counters.mnActive === 0 ? change() : AGAIN));
    if (result !== AGAIN) return result;
  }
}

const AGAIN = -1;

function* addMemslot(vm: Vm, slot: Memslot): Path<number> {
  return yield* swapMemslots(vm, () => vm.memslots.add(slot));
}

function* removeMemslot(vm: Vm, slot: number): Path {
  yield* underMmuLock(vm, "kvm_arch_flush_shadow_memslot", () => {
    const { gfn, pages } = vm.memslots.get(slot);
    return vm.shadow.zap(gfn, gfn + pages);
  });
  yield* swapMemslots(vm, () => {
    const { gfn, pages, vpn } = vm.memslots.get(slot);
    // Faults that came in between have mapped frames of a slot that goes away.
    vm.shadow.zap(gfn, gfn + pages);
    // kvm_gpc_check() compares the slots' generation; no notification would reach these maps any more.
    vm.pfnCaches.invalidate(vpn, vpn + pages);
    vm.tlb.invalidateAll();
    vm.memslots.remove(slot);
    return 0;
  });
}

function* startDirtyLog(vm: Vm, slot: number): Path {
  yield* swapMemslots(vm, () => {
    vm.memslots.setFlags(slot, vm.memslots.get(slot).flags | MEMSLOT_LOG_DIRTY);
    return 0;
  });
  yield* underMmuLock(vm, "kvm_mmu_slot_remove_write_access", () => {
    const { gfn, pages } = vm.memslots.get(slot);
    return vm.shadow.writeProtect(gfn, gfn + pages);
  });
}

function* getDirtyLog(vm: Vm, slot: number): Path<number> {
  return yield* underMmuLock(vm, "kvm_get_dirty_log_protect", () => {
    const { gfn, pages } = vm.memslots.get(slot);
    const written = vm.takeDirty(gfn, gfn + pages);
    for (const frame of written) vm.shadow.writeProtect(frame, frame + 1);
    return written.length;
  });
}

/** One step under mmu_lock that returns how many entries lost something; flushes when any did. */
function* underMmuLock(vm: Vm, label: string, change: () => number): Path<number> {
  yield spinLock(vm.counters.mmuLock);
  const changed = yield step(label, change);
  if (changed > 0) yield* vm.flushRemoteTlbs();
  yield spinUnlock(vm.counters.mmuLock);
  return changed;
}
