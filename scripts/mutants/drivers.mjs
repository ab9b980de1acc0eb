// Mistakes in the three drivers that ship, caught by what a driver's author runs, or by the driver's own tests.
import { btm, kvm, smmu, tested } from "./entry.mjs";

const ofSmmu = (name) => `driver-arm-smmu/dist/${name}.js`;
const ofBtm = (name) => `driver-iommu-btm/dist/${name}.js`;
const ofKvm = (name) => `driver-kvm/dist/${name}.js`;
const KVM_RULES = "packages/driver-kvm/test/rules.test.ts";
const KVM_REFERENCE = "packages/driver-kvm/test/against-reference.test.ts";
const BTM_RULES = "packages/driver-iommu-btm/test/rules.test.ts";

export const DRIVERS = [
  // The SMMU's driver
  smmu("no TLBI", ofSmmu("invalidate"), "yield* domain.invalidateTlb(start, end);", ""),
  smmu("no ATC_INV", ofSmmu("invalidate"), "yield* domain.invalidateAtcs(start, end);", ""),
  smmu(
    "TLBI one page short",
    ofSmmu("invalidate"),
    "domain.invalidateTlb(start, end)",
    "domain.invalidateTlb(start, end - 1)",
  ),
  smmu(
    "TLBI one page late",
    ofSmmu("invalidate"),
    "domain.invalidateTlb(start, end)",
    "domain.invalidateTlb(start + 1, end)",
  ),
  smmu(
    "ATC_INV one page short",
    ofSmmu("invalidate"),
    "domain.invalidateAtcs(start, end)",
    "domain.invalidateAtcs(start, end - 1)",
  ),
  smmu(
    "ATC_INV one page late",
    ofSmmu("invalidate"),
    "domain.invalidateAtcs(start, end)",
    "domain.invalidateAtcs(start + 1, end)",
  ),
  smmu(
    "only the first page",
    ofSmmu("invalidate"),
    "domain.invalidateTlb(start, end)",
    "domain.invalidateTlb(start, start + 1)",
  ),
  smmu(
    "ATC_INV before TLBI",
    ofSmmu("invalidate"),
    "yield* domain.invalidateTlb(start, end);",
    "yield* domain.invalidateAtcs(start, end); yield* domain.invalidateTlb(start, end); return;",
  ),
  smmu("deaf to the hook", ofSmmu("driver"), "notifications.pipe(flushes())", 'notifications.pipe(phases("release"))'),
  smmu(
    "listens to start and end's world only",
    ofSmmu("driver"),
    "notifications.pipe(flushes())",
    'notifications.pipe(phases("end", "release"))',
  ),
  smmu("release does nothing", ofSmmu("driver"), "release: () => domain.release(),", "*release() { },"),
  smmu("unbind without release", ofSmmu("driver"), "yield* domain.release();", ""),
  // The IOMMU that hears broadcasts
  btm("deaf to the hook", ofBtm("driver"), "tlbi || options.ats ? flushes() :", "false ? flushes() :"),
  btm("no ATC_INV", ofBtm("driver"), "            yield* domain.invalidateAtcs(start, end);\n        },", "        },"),
  btm(
    "ATC_INV one page short",
    ofBtm("driver"),
    "            yield* domain.invalidateAtcs(start, end);\n        },",
    "            yield* domain.invalidateAtcs(start, end - 1);\n        },",
  ),
  btm("never a TLBI", ofBtm("driver"), "const tlbi = !heard ||", "const tlbi = (false && !heard) ||", {
    arch: "x86-64",
  }),
  btm("no TLBI where the hook comes before the broadcast", ofBtm("driver"), "|| (options.ats && early)", ""),
  btm("release does nothing", ofBtm("driver"), "release: () => domain.release(),", "*release() { },"),
  btm(
    "unbind without release",
    ofBtm("driver"),
    'yield* domain.release();\n    yield step("asid: put"',
    'yield step("asid: put"',
  ),
  // The shadow MMU
  kvm("start does not zap", ofKvm("invalidate"), "count += shadow.zap(range.start, range.end);", "count += 0;"),
  kvm(
    "start zaps one page short",
    ofKvm("invalidate"),
    "shadow.zap(range.start, range.end)",
    "shadow.zap(range.start, range.end - 1)",
  ),
  kvm(
    "start zaps one page late",
    ofKvm("invalidate"),
    "shadow.zap(range.start, range.end)",
    "shadow.zap(range.start + 1, range.end)",
  ),
  kvm("no remote flush after a zap", ofKvm("invalidate"), "if (zapped > 0)\n        yield* vm.flushRemoteTlbs();", ""),
  kvm("start does not count itself in progress", ofKvm("invalidate"), "counters.begin(ranges);", ""),
  kvm("end does not move the sequence", ofKvm("invalidate"), "counters.end();", ""),
  kvm("start without mn_active", ofKvm("invalidate"), "counters.freeze();", ""),
  kvm("filters in start alone", ofKvm("config"), 'filterPhases: "both"', 'filterPhases: "start"'),
  kvm("filters in end alone", ofKvm("config"), 'filterPhases: "both"', 'filterPhases: "end"'),
  kvm("filters UNMAP", ofKvm("invalidate"), '"MMU_NOTIFY_PROTECTION_UPGRADE"', '"MMU_NOTIFY_UNMAP"'),
  kvm("release leaves the table", ofKvm("invalidate"), "vm.shadow.zap(0, Infinity)", "0"),
  kvm(
    "release without a flush",
    ofKvm("invalidate"),
    "yield* vm.flushRemoteTlbs();\n    yield spinUnlock(vm.counters.mmuLock);",
    "yield spinUnlock(vm.counters.mmuLock);",
  ),
  kvm("faults go on after release", ofKvm("invalidate"), "vm.setReleased();", ""),
  kvm(
    "installs without the second check",
    ofKvm("fault"),
    "if (vm.options.retryCheck && counters.retry(seq, gfn)) {",
    "if (false) {",
  ),
  kvm(
    "reads the sequence after the lookup",
    ofKvm("fault"),
    "counters.retry(seq, gfn)",
    "counters.retry(counters.seq, gfn)",
  ),
  kvm(
    "installs every entry writable",
    ofKvm("fault"),
    "const hostWritable = write || (found & GUP_WRITABLE) !== 0;",
    "const hostWritable = true;",
  ),
  kvm(
    "looks up with read intent",
    ofKvm("fault"),
    "context.faults.getUserPages(vpn, { write })",
    "context.faults.getUserPages(vpn, { write: false })",
  ),
  kvm(
    "installs outside mmu_lock",
    ofKvm("fault"),
    "yield spinLock(counters.mmuLock);\n    const installed",
    "const installed",
  ),
  kvm("the flush forgets the vCPU's cache", ofKvm("vm"), "this.tlb.invalidateAll();", ""),
  kvm("the flush does not wait", ofKvm("vm"), "() => this.tlb.drained", "() => true"),
  // Memslot changes wait for it: no scenario changes memslots
  tested(KVM_RULES, ofKvm("invalidate"), "end without mn_active", "counters.thaw();", ""),
  // Aging
  kvm("test_young makes pages old", ofKvm("aging"), "tests ? shadow.young(range.start, range.end) :", ""),
  kvm(
    "aging makes nothing old",
    ofKvm("aging"),
    "tests ? shadow.young(range.start, range.end) : shadow.age(range.start, range.end)",
    "shadow.young(range.start, range.end)",
  ),
  kvm("aging says nothing", ofKvm("aging"), "notification.reportYoung();", ";"),
  kvm("every page is young", ofKvm("aging"), "if (young > 0)\n            notification", "notification"),
  kvm(
    "aging looks at the next page as well",
    ofKvm("aging"),
    "memslots.overlaps(start, end)",
    "memslots.overlaps(start, end + 1)",
  ),
  tested(KVM_RULES, ofKvm("aging"), "clear_flush_young does not flush", 'phase === "clear-flush-young"', "false"),
  // The kernel's own maps of guest frames
  tested(
    KVM_RULES,
    ofKvm("pfn-cache"),
    "a refresh does not look whether it was overtaken",
    "this.#counters.mnActive !== 0 || this.#counters.seq !== seq ||",
    "",
  ),
  tested(
    KVM_RULES,
    ofKvm("pfn-cache"),
    "a refresh does not wait for the end",
    "() => this.#counters.mnActive === 0",
    "() => true",
  ),
  tested(
    KVM_REFERENCE,
    ofKvm("pfn-cache"),
    "the first page of a range keeps its map",
    "vpn >= start && vpn < end",
    "vpn > start && vpn < end",
  ),
  tested(
    KVM_REFERENCE,
    ofKvm("pfn-cache"),
    "the page after a range loses its map",
    "vpn >= start && vpn < end",
    "vpn >= start && vpn <= end",
  ),
  tested(
    KVM_REFERENCE,
    ofKvm("pfn-cache"),
    "a refresh takes a page without asking for the right to write",
    "{ write: true }",
    "{ write: false }",
  ),
  tested(
    KVM_REFERENCE,
    ofKvm("invalidate"),
    "release leaves the kernel's own maps",
    "vm.pfnCaches.invalidate(0, Infinity);",
    "",
  ),
  // Dirty logging and memslots
  tested(
    KVM_RULES,
    ofKvm("vm"),
    "a frame is logged each time it is written",
    "=== gfn)\n                return;",
    "=== gfn)\n                continue;",
  ),
  tested(
    KVM_REFERENCE,
    ofKvm("vm"),
    "the log of a slot takes the next slot's frame",
    "gfn < start || gfn >= end",
    "gfn < start || gfn > end",
  ),
  tested(
    KVM_REFERENCE,
    ofKvm("driver"),
    "frames stay writable after the log was read",
    "vm.shadow.writeProtect(frame, frame + 1);",
    ";",
  ),
  tested(
    KVM_REFERENCE,
    ofKvm("driver"),
    "a removed slot's last frame stays mapped",
    "return vm.shadow.zap(gfn, gfn + pages);",
    "return vm.shadow.zap(gfn, gfn + pages - 1);",
  ),
  tested(
    KVM_REFERENCE,
    ofKvm("fault"),
    "the fast path logs nothing",
    "vm.logDirty(gfn);\n            vm.tlb",
    "vm.tlb",
  ),
  tested(
    KVM_REFERENCE,
    ofKvm("fault"),
    "a logged frame is mapped writable by a read",
    "writeProtected: logs",
    "writeProtected: false",
  ),
  // What an IOMMU with broadcasts does about ASIDs
  tested(
    BTM_RULES,
    ofBtm("binding-mode"),
    "a private descriptor keeps the number that is pinned",
    "cd.write(smmu.asids.alloc(), 1);",
    "",
  ),
  tested(BTM_RULES, ofBtm("binding-mode"), "entries of the old number stay", "smmu.iotlb.invalidateASID(asid);", ""),
  tested(BTM_RULES, ofBtm("driver"), "a pinned id is never given back", "asids.unpin(mm.id);", ";"),
];
