// Small mistakes, each one change of a built file: what a hurried author writes. `find` stands in the file exactly once.
const SMMU = "driver-arm-smmu/dist/";
const BTM = "driver-iommu-btm/dist/driver.js";
const KVM = "driver-kvm/dist/";
const DOMAIN = "sdk/dist/hardware/sva-domain.js";
const COUNTERS = "sdk/dist/software/invalidate-counters.js";
const QUEUE = "sdk/dist/hardware/command-queue.js";
const IN_FLIGHT = "sdk/dist/hardware/in-flight.js";
const MIRROR = "sdk/dist/software/interval-mirror.js";
const CD = "sdk/dist/hardware/context-descriptor.js";
const RELEASE = "bus/dist/release.js";
const CALLS = "bus/dist/calls.js";

const smmu = (says, find, replace, file = `${SMMU}invalidate.js`) => ({
  driver: "arm-smmu",
  file,
  says,
  find,
  replace,
});
const btm = (says, find, replace, file = BTM) => ({ driver: "iommu-btm", file, says, find, replace });
const kvm = (says, file, find, replace) => ({ driver: "kvm", file, says, find, replace });
const hmm = (says, file, find, replace) => ({ driver: "hmm-gpu", file, says, find, replace });

export const MUTANTS = [
  // The SMMU's driver
  smmu("no TLBI", "yield* domain.invalidateTlb(start, end);", ""),
  smmu("no ATC_INV", "yield* domain.invalidateAtcs(start, end);", ""),
  smmu("TLBI one page short", "domain.invalidateTlb(start, end)", "domain.invalidateTlb(start, end - 1)"),
  smmu("TLBI one page late", "domain.invalidateTlb(start, end)", "domain.invalidateTlb(start + 1, end)"),
  smmu("ATC_INV one page short", "domain.invalidateAtcs(start, end)", "domain.invalidateAtcs(start, end - 1)"),
  smmu("ATC_INV one page late", "domain.invalidateAtcs(start, end)", "domain.invalidateAtcs(start + 1, end)"),
  smmu("only the first page", "domain.invalidateTlb(start, end)", "domain.invalidateTlb(start, start + 1)"),
  smmu(
    "ATC_INV before TLBI",
    "yield* domain.invalidateTlb(start, end);",
    "yield* domain.invalidateAtcs(start, end); yield* domain.invalidateTlb(start, end); return;",
  ),
  smmu(
    "deaf to the hook",
    "notifications.pipe(flushes())",
    'notifications.pipe(phases("release"))',
    `${SMMU}driver.js`,
  ),
  smmu(
    "listens to start and end's world only",
    "notifications.pipe(flushes())",
    'notifications.pipe(phases("end", "release"))',
    `${SMMU}driver.js`,
  ),
  smmu("release does nothing", "release: () => domain.release(),", "*release() { },", `${SMMU}driver.js`),
  smmu("unbind without release", "yield* domain.release();", "", `${SMMU}driver.js`),
  smmu(
    "no CMD_SYNC after TLBI",
    "yield* this.#smmu.queue.issue(tlbiRange(",
    "yield* this.#smmu.queue.submit(tlbiRange(",
    DOMAIN,
  ),
  smmu(
    "no CMD_SYNC after ATC_INV",
    "yield* this.#smmu.queue.issue(this.atcs.map(({ sid, ssid }) => atcInvRange",
    "yield* this.#smmu.queue.submit(this.atcs.map(({ sid, ssid }) => atcInvRange",
    DOMAIN,
  ),
  smmu("TLBI of another ASID", "tlbiRange(asid, start, end", "tlbiRange(asid + 1, start, end", DOMAIN),
  smmu(
    "ATC_INV of another PASID",
    "atcInvRange(sid, ssid, start, end)",
    "atcInvRange(sid, ssid + 1, start, end)",
    DOMAIN,
  ),
  smmu("release leaves the descriptor on", "this.cd.quiesce();", "", DOMAIN),
  smmu("release without TLBI", "yield* queue.issue([tlbiNhAsid(asid)]);", "", DOMAIN),
  smmu(
    "release without CMD_SYNC",
    "yield* queue.issue([tlbiNhAsid(asid)]);",
    "yield* queue.submit([tlbiNhAsid(asid)]);",
    DOMAIN,
  ),
  smmu(
    "release leaves the ATCs",
    "yield* queue.issue(this.atcs.map(({ sid, ssid }) => atcInv(sid, ssid, 0, Infinity)));",
    "",
    DOMAIN,
  ),
  smmu(
    "faults go on after release",
    'yield step("cd.S", () => (cd.dead ? 1 : 0))',
    'yield step("cd.S", () => 0)',
    DOMAIN,
  ),
  smmu("walks begin after release", "this.#words.set(EPD0, 1);", "", CD),
  // The command queue and what tracks walks
  smmu(
    "CMD_SYNC does not wait for accesses",
    "return this.#commands.front !== OPCODES.CMD_SYNC || this.#options.target.drained();",
    "return true;",
    QUEUE,
  ),
  smmu(
    "a CMD_SYNC is complete at once",
    "this.#completions.i32[at] !== 0 || this.#isHalted",
    "true || this.#isHalted",
    QUEUE,
  ),
  smmu("commands are written and never executed", "this.#options.target.execute(command);", ";", QUEUE),
  smmu(
    "only the first command of a batch",
    "for (const command of commands)",
    "for (const command of commands.slice(0, 1))",
    QUEUE,
  ),
  smmu("walks in flight survive", "i32[at + STATE] = KILLED;", ";", IN_FLIGHT),
  smmu("accesses in flight are not waited for", "i32[at + STATE] = DRAINING;", ";", IN_FLIGHT),
  smmu(
    "a killed walk caches what it read",
    "return this.#segment.i32[row * STRIDE + STATE] === KILLED;",
    "return false;",
    IN_FLIGHT,
  ),
  smmu(
    "walks below a freed table survive",
    "state === WALKING && first < end && first + region > start",
    "state === WALKING && vpn >= start && vpn < end",
    IN_FLIGHT,
  ),
  // The IOMMU that hears broadcasts
  btm("deaf to the hook", "tlbi || options.ats ? flushes() :", "false ? flushes() :"),
  btm("no ATC_INV", "            yield* domain.invalidateAtcs(start, end);\n        },", "        },"),
  btm(
    "ATC_INV one page short",
    "            yield* domain.invalidateAtcs(start, end);\n        },",
    "            yield* domain.invalidateAtcs(start, end - 1);\n        },",
  ),
  { ...btm("never a TLBI", "const tlbi = !heard ||", "const tlbi = (false && !heard) ||"), arch: "x86-64" },
  btm("no TLBI where the hook comes before the broadcast", "|| (options.ats && early)", ""),
  btm("release does nothing", "release: () => domain.release(),", "*release() { },"),
  btm("unbind without release", 'yield* domain.release();\n    yield step("asid: put"', 'yield step("asid: put"'),
  // The shadow MMU
  kvm("start does not zap", `${KVM}invalidate.js`, "count += shadow.zap(range.start, range.end);", "count += 0;"),
  kvm(
    "start zaps one page short",
    `${KVM}invalidate.js`,
    "shadow.zap(range.start, range.end)",
    "shadow.zap(range.start, range.end - 1)",
  ),
  kvm(
    "start zaps one page late",
    `${KVM}invalidate.js`,
    "shadow.zap(range.start, range.end)",
    "shadow.zap(range.start + 1, range.end)",
  ),
  kvm(
    "no remote flush after a zap",
    `${KVM}invalidate.js`,
    "if (zapped > 0)\n        yield* vm.flushRemoteTlbs();",
    "",
  ),
  kvm("start does not count itself in progress", `${KVM}invalidate.js`, "counters.begin(ranges);", ""),
  kvm("end does not move the sequence", `${KVM}invalidate.js`, "counters.end();", ""),
  kvm("start without mn_active", `${KVM}invalidate.js`, "counters.freeze();", ""),
  kvm("end without mn_active", `${KVM}invalidate.js`, "counters.thaw();", ""),
  kvm("filters in start alone", `${KVM}config.js`, 'filterPhases: "both"', 'filterPhases: "start"'),
  kvm("filters in end alone", `${KVM}config.js`, 'filterPhases: "both"', 'filterPhases: "end"'),
  kvm("filters UNMAP", `${KVM}invalidate.js`, '"MMU_NOTIFY_PROTECTION_UPGRADE"', '"MMU_NOTIFY_UNMAP"'),
  kvm("release leaves the table", `${KVM}invalidate.js`, "vm.shadow.zap(0, Infinity)", "0"),
  kvm(
    "release without a flush",
    `${KVM}invalidate.js`,
    "yield* vm.flushRemoteTlbs();\n    yield spinUnlock(vm.counters.mmuLock);",
    "yield spinUnlock(vm.counters.mmuLock);",
  ),
  kvm("faults go on after release", `${KVM}invalidate.js`, "vm.setReleased();", ""),
  kvm(
    "installs without the second check",
    `${KVM}fault.js`,
    "if (vm.options.retryCheck && counters.retry(seq, gfn)) {",
    "if (false) {",
  ),
  kvm(
    "reads the sequence after the lookup",
    `${KVM}fault.js`,
    "counters.retry(seq, gfn)",
    "counters.retry(counters.seq, gfn)",
  ),
  kvm(
    "installs every entry writable",
    `${KVM}fault.js`,
    "const hostWritable = write || (found & GUP_WRITABLE) !== 0;",
    "const hostWritable = true;",
  ),
  kvm(
    "looks up with read intent",
    `${KVM}fault.js`,
    "context.faults.getUserPages(vpn, { write })",
    "context.faults.getUserPages(vpn, { write: false })",
  ),
  kvm(
    "installs outside mmu_lock",
    `${KVM}fault.js`,
    "yield spinLock(counters.mmuLock);\n    const installed",
    "const installed",
  ),
  kvm("the flush forgets the vCPU's cache", `${KVM}vm.js`, "this.tlb.invalidateAll();", ""),
  kvm("the flush does not wait", `${KVM}vm.js`, "() => this.tlb.drained", "() => true"),
  kvm(
    "the hull is not extended",
    COUNTERS,
    "this.#words.setDouble(HULL_END, Math.max(this.#words.double(HULL_END), end));",
    "this.#words.setDouble(HULL_END, end);",
  ),
  kvm(
    "the hull is one page short",
    COUNTERS,
    "gfn < this.#words.double(HULL_END)",
    "gfn < this.#words.double(HULL_END) - 1",
  ),
  kvm("the sequence stands still", COUNTERS, "(this.#words.get(SEQ) + 1) & this.#mask", "this.#words.get(SEQ)"),
  kvm("retry looks at what is in progress alone", COUNTERS, "return this.#words.get(SEQ) !== seq;", "return false;"),
  kvm("retry looks at the sequence alone", COUNTERS, "if (inProgress !== 0 &&", "if (false &&"),
  // A mirror
  hmm(
    "no read_retry",
    MIRROR,
    "const overtaken = yield* intervals.readRetry(this.#interval, seq);",
    "const overtaken = 0;",
  ),
  hmm("no set_seq in the callback", MIRROR, "yield* this.#context.intervals.setSeq(interval, curSeq);", ""),
  hmm(
    "the callback drops nothing",
    MIRROR,
    "const { start, end } = pageRange(range);\n        yield* this.#zap(start, end);",
    "",
  ),
  hmm(
    "the callback drops one page too few",
    MIRROR,
    "yield* this.#zap(start, end);",
    "yield* this.#zap(start, end - 1);",
  ),
  hmm("a removed mirror goes on", MIRROR, "if (mirroring === 0) {", "if (false) {"),
  hmm("remove keeps the entries", MIRROR, "yield* this.#zap(0, Infinity);", ""),
  hmm(
    "nothing is dropped above the table",
    MIRROR,
    "if (zapped > 0 && this.#options.flush !== undefined)",
    "if (false)",
  ),
  // The bus
  {
    driver: "kvm",
    file: RELEASE,
    says: "release without a grace period",
    find: "yield* srcu.synchronize();",
    replace: "",
  },
  {
    driver: "arm-smmu",
    file: RELEASE,
    says: "release tells nobody on the list",
    find: "if (listed !== NOBODY) {",
    replace: "if (false) {",
  },
  {
    driver: "hmm-gpu",
    file: RELEASE,
    says: "release tells no interval",
    find: "if (entered < 0) {",
    replace: "if (false) {",
  },
  {
    driver: "kvm",
    file: CALLS,
    says: "end tells nobody",
    find: "const slot = (onlyEnd ? ONLY_END_SLOT : END_SLOT) + this.#eventIndex(event);",
    replace: "return (function* () {})();",
  },
  {
    driver: "hmm-gpu",
    file: CALLS,
    says: "an interval's invalidation never ends",
    find: "this.#intervals.invEnd(head);",
    replace: "",
  },
  {
    driver: "hmm-gpu",
    file: CALLS,
    says: "start passes the intervals by",
    find: "if (subscriptions.hasItree(head))\n            return this.#intervals.invStart(head, start, end);",
    replace: "",
  },
];

/** Mutants that need something which no scenario has, and the tests that catch them. */
export const ELSEWHERE = {
  "driver-kvm/dist/invalidate.js: end without mn_active":
    "memslot changes wait for it: tests C3, C4, C9 and C17 of packages/driver-kvm fail",
};
