import {
  type AccessRequest,
  call,
  type DeviceFault,
  F_PERMISSION,
  F_TRANSLATION,
  FAULT_ABORT,
  FAULT_RETRY,
  GUP_WRITABLE,
  LEAF_READ,
  LEAF_WRITE,
  leafAllows,
  MEMSLOT_LOG_DIRTY,
  packLeaf,
  type Path,
  ShadowTable,
  SPTE_PRESENT,
  SPTE_WRITABLE,
  spinLock,
  spinUnlock,
  step,
  type TranslationResult,
  type TranslationStage,
} from "@mmu-notifier/sdk";
import { type Vm, VM_TAG } from "./vm.js";

/** The hardware's walk of the shadow table: sets A, and D where the write is allowed. */
export class GuestWalk implements TranslationStage {
  readonly #vm: Vm;

  constructor(vm: Vm) {
    this.#vm = vm;
  }

  *translate(request: AccessRequest): Path<TranslationResult> {
    const { held, vpn, write } = request;
    return yield step("guest page walk", () => {
      const gfn = this.#vm.memslots.gfnOf(vpn);
      const leaf = gfn < 0 ? F_TRANSLATION : this.#leaf(gfn);
      if (leaf > 0 && leafAllows(leaf, write)) {
        this.#vm.shadow.touch(gfn, write);
        return leaf;
      }
      // EPT violation: the walk is over. What it found is not cached when it refuses the access.
      held.end();
      return leaf > 0 ? F_PERMISSION : leaf;
    });
  }

  /** What a walk would find now. */
  peek(vpn: number): TranslationResult {
    const gfn = this.#vm.memslots.gfnOf(vpn);
    return gfn < 0 ? F_TRANSLATION : this.#leaf(gfn);
  }

  #leaf(gfn: number): TranslationResult {
    const spte = this.#vm.shadow.get(gfn);
    if ((spte & SPTE_PRESENT) === 0) return F_TRANSLATION;
    return packLeaf(ShadowTable.pfn(spte), 0, LEAF_READ | ((spte & SPTE_WRITABLE) !== 0 ? LEAF_WRITE : 0));
  }
}

/** kvm_mmu_page_fault(): resolves an exit of the guest. FAULT_RETRY enters the guest again. */
export function handleFault(vm: Vm, fault: DeviceFault): Path<number> {
  return call("kvm_mmu_page_fault", pageFault(vm, fault));
}

const GONE = -1;
const FIXED = -2;
const BUSY = -3;

function* pageFault(vm: Vm, { vpn, write, code }: DeviceFault): Path<number> {
  const { context, counters, memslots, shadow } = vm;
  const seq = yield step("mmu_invalidate_seq", (task) => {
    if (context.events.observed) context.events.emit({ kind: "fault", code, vpn, write });
    const gfn = memslots.gfnOf(vpn);
    if (vm.released || counters.bugged || gfn < 0) return GONE;
    if (write && shadow.fixWriteProtection(gfn)) {
      vm.logDirty(gfn);
      vm.tlb.invalidateVA(VM_TAG, vpn);
      return FIXED;
    }
    // Contention relief: no lookup while the frame is being invalidated.
    if (vm.options.retryCheck && counters.retry(counters.seq, gfn)) return BUSY;
    counters.faultBegins(task);
    return counters.seq;
  });
  if (seq === GONE) return FAULT_ABORT;
  if (seq < 0) return FAULT_RETRY;
  const found = yield* context.faults.getUserPages(vpn, { write });
  yield spinLock(counters.mmuLock);
  const installed = yield step("kvm_tdp_mmu_map", (task) => {
    const own = counters.faultEnds(task);
    const gfn = memslots.gfnOf(vpn);
    if (found < 0 || vm.released || gfn < 0) return GONE;
    if (vm.options.retryCheck && counters.retry(seq, gfn)) {
      if (own) context.costs.count("selfRetries");
      return BUSY;
    }
    install(vm, gfn, vpn, found, write);
    return 0;
  });
  yield spinUnlock(counters.mmuLock);
  return installed === GONE ? FAULT_ABORT : FAULT_RETRY;
}

/** Puts the entry in, and drops what this vCPU had cached for the page: the others fault once more and find it. */
function install(vm: Vm, gfn: number, vpn: number, found: number, write: boolean): void {
  const { context, memslots, shadow, tlb } = vm;
  const logs = (memslots.get(memslots.ofGfn(gfn)).flags & MEMSLOT_LOG_DIRTY) !== 0;
  const pfn = Math.floor(found / 2);
  const hostWritable = write || (found & GUP_WRITABLE) !== 0;
  shadow.install(gfn, pfn, { hostWritable, writeProtected: logs, write });
  if (write && logs) vm.logDirty(gfn);
  tlb.invalidateVA(VM_TAG, vpn);
  context.costs.inserted(0, gfn);
  if (context.events.observed)
    context.events.emit({ kind: "insert", cache: "spte", asid: 0, vpn, pages: 1, pfn, write: hostWritable });
}
