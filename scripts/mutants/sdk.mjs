// Mistakes in the blocks of the sdk that drivers are made of: the drivers on them are caught, or the blocks' own tests fail.
import { hmm, kvm, smmu, tested } from "./entry.mjs";

const hardware = (name) => `sdk/dist/hardware/${name}.js`;
const software = (name) => `sdk/dist/software/${name}.js`;
const CACHES = "packages/sdk/test/translation-caches.test.ts";
const TARGET = "packages/sdk/test/tlb-target.test.ts";
const FAULTS = "packages/sdk/test/faults.test.ts";
const SHADOW = "packages/sdk/test/shadow-blocks.test.ts";
const array = (says, find, replace) => tested(CACHES, hardware("tlb-array"), says, find, replace);
const iotlb = (says, find, replace) => tested(CACHES, hardware("iotlb"), says, find, replace);
const atc = (says, find, replace) => tested(CACHES, hardware("atc"), says, find, replace);
const shadow = (says, find, replace) => tested(SHADOW, software("shadow-table"), says, find, replace);

export const SDK = [
  // What the SMMU's driver rests on
  smmu(
    "no CMD_SYNC after TLBI",
    hardware("sva-domain"),
    "yield* this.#smmu.queue.issue(tlbiRange(",
    "yield* this.#smmu.queue.submit(tlbiRange(",
  ),
  smmu(
    "no CMD_SYNC after ATC_INV",
    hardware("sva-domain"),
    "const error = yield* this.#smmu.queue.issue(commands);",
    "const error = yield* this.#smmu.queue.submit(commands);",
  ),
  smmu("TLBI of another ASID", hardware("sva-domain"), "tlbiRange(asid, start, end", "tlbiRange(asid + 1, start, end"),
  smmu(
    "ATC_INV of another PASID",
    hardware("sva-domain"),
    "atcInvRange(sid, ssid, start, end)",
    "atcInvRange(sid, ssid + 1, start, end)",
  ),
  smmu("release leaves the descriptor on", hardware("sva-domain"), "this.cd.quiesce();", ""),
  smmu("release without TLBI", hardware("sva-domain"), "yield* queue.issue([tlbiNhAsid(asid)]);", ""),
  smmu(
    "release without CMD_SYNC",
    hardware("sva-domain"),
    "yield* queue.issue([tlbiNhAsid(asid)]);",
    "yield* queue.submit([tlbiNhAsid(asid)]);",
  ),
  smmu(
    "release leaves the ATCs",
    hardware("sva-domain"),
    "yield* this.#emptyAtcs(this.atcs.map(({ sid, ssid }) => atcInv(sid, ssid, 0, Infinity)));",
    "",
  ),
  smmu(
    "faults go on after release",
    hardware("sva-domain"),
    "const gone = () => cd.dead || this.#atsDisabled;",
    "const gone = () => this.#atsDisabled;",
  ),
  smmu("walks begin after release", hardware("context-descriptor"), "this.#words.set(EPD0, 1);", ""),
  smmu(
    "CMD_SYNC does not wait for accesses",
    hardware("command-queue"),
    "return this.#commands.front !== OPCODES.CMD_SYNC || this.#options.target.drained();",
    "return true;",
  ),
  smmu(
    "a CMD_SYNC is complete at once",
    hardware("command-queue"),
    "this.#completions.i32[at] !== 0 || this.#isHalted",
    "true || this.#isHalted",
  ),
  smmu(
    "commands are written and never executed",
    hardware("command-queue"),
    "this.#options.target.execute(command);",
    ";",
  ),
  smmu(
    "only the first command of a batch",
    hardware("command-queue"),
    "for (const command of commands)",
    "for (const command of commands.slice(0, 1))",
  ),
  smmu("walks in flight survive", hardware("in-flight"), "i32[at + STATE] = KILLED;", ";"),
  smmu("accesses in flight are not waited for", hardware("in-flight"), "i32[at + STATE] = DRAINING;", ";"),
  smmu(
    "a killed walk caches what it read",
    hardware("in-flight"),
    "return this.#segment.i32[row * STRIDE + STATE] === KILLED;",
    "return false;",
  ),
  smmu(
    "walks below a freed table survive",
    hardware("in-flight"),
    "state === WALKING && first < end && first + region > start",
    "state === WALKING && vpn >= start && vpn < end",
  ),
  // What the shadow MMU rests on
  kvm(
    "the hull is not extended",
    software("invalidate-counters"),
    "this.#words.setDouble(HULL_END, Math.max(this.#words.double(HULL_END), end));",
    "this.#words.setDouble(HULL_END, end);",
  ),
  kvm(
    "the hull is one page short",
    software("invalidate-counters"),
    "gfn < this.#words.double(HULL_END)",
    "gfn < this.#words.double(HULL_END) - 1",
  ),
  kvm(
    "the sequence stands still",
    software("invalidate-counters"),
    "(this.#words.get(SEQ) + 1) & this.#mask",
    "this.#words.get(SEQ)",
  ),
  kvm(
    "retry looks at what is in progress alone",
    software("invalidate-counters"),
    "return this.#words.get(SEQ) !== seq;",
    "return false;",
  ),
  kvm("retry looks at the sequence alone", software("invalidate-counters"), "if (inProgress !== 0 &&", "if (false &&"),
  // A mirror
  hmm(
    "no read_retry",
    software("interval-mirror"),
    "const overtaken = yield* intervals.readRetry(this.#interval, seq);",
    "const overtaken = 0;",
  ),
  hmm(
    "no set_seq in the callback",
    software("interval-mirror"),
    "yield* this.#context.intervals.setSeq(interval, curSeq);",
    "",
  ),
  hmm(
    "the callback drops nothing",
    software("interval-mirror"),
    "const { start, end } = pageRange(range);\n        yield* this.#zap(start, end);",
    "",
  ),
  hmm(
    "the callback drops one page too few",
    software("interval-mirror"),
    "yield* this.#zap(start, end);",
    "yield* this.#zap(start, end - 1);",
  ),
  hmm("a removed mirror goes on", software("interval-mirror"), "if (mirroring === 0) {", "if (false) {"),
  hmm("remove keeps the entries", software("interval-mirror"), "yield* this.#zap(0, Infinity);", ""),
  hmm(
    "nothing is dropped above the table",
    software("interval-mirror"),
    "if (zapped > 0 && this.#options.flush !== undefined)",
    "if (false)",
  ),
  // The ways of a cache
  array("a hit does not look at the ASID", "i32[at] === 0 || i32[at + ASID] !== asid", "i32[at] === 0"),
  array(
    "an entry translates a page too many",
    "vpn < from + (i32[at + SPAN_LEVEL] >> 3)",
    "vpn <= from + (i32[at + SPAN_LEVEL] >> 3)",
  ),
  array("a page is held twice", "if (old !== 0)\n            this.drop(old);", ""),
  array("a block begins at the page that was asked for", "leafPfn(leaf) - offset", "leafPfn(leaf)"),
  array("the page after a range is dropped", "vpn >= end ||", "vpn > end ||"),
  array(
    "the page before a range is dropped",
    "<= start)\n                continue;",
    "< start)\n                continue;",
  ),
  array("one way is replaced for ever", "(turn + 1) % this.#ways", "turn"),
  // IOTLB
  iotlb("a killed walk is cached", "if (held.killed()) {", "if (false) {"),
  iotlb("a translation request is waited for", "if (!ats)\n                request.hold", "request.hold"),
  iotlb(
    "a refused entry is kept for another walk",
    'if (policy === "rewalk-on-permission-fault" || (policy === "drop-and-fault" && !ats))',
    "if (false)",
  ),
  iotlb("TLBI ALL counts nothing as needless", "this.#dropped(of, vpn, leaf)", "this.#dropped(asid, vpn, leaf)"),
  smmu("a walk cache is not invalidated", hardware("iotlb"), "if (!leafOnly)", "if (false)"),
  tested(
    TARGET,
    hardware("walk-cache"),
    "a walk cache drops regions that begin in the range",
    "first < end && first + this.#span > start",
    "first < end && first >= start",
  ),
  // ATC
  atc("an overtaken completion is kept", "if (completion <= 0 || held.killed()) {", "if (completion <= 0) {"),
  atc("a dead device answers", "this.dead ? -1 : this.#drop(start, end)", "this.#drop(start, end)"),
  atc("a forbidden cache keeps its entries", "this.#drop(0, Infinity);", ""),
  atc("a forbidden cache is used", "if (this.forbidden)", "if (false)"),
  atc(
    "barriers wait for a dead device",
    "(this.dead && !this.forbidden) || this.inFlight.drained",
    "this.inFlight.drained",
  ),
  atc(
    "nobody waits for a dead device that was forbidden",
    "(this.dead && !this.forbidden) || this.inFlight.drained",
    "this.dead || this.inFlight.drained",
  ),
  atc(
    "an entry that lacks a right is dropped whatever the policy",
    'refused && policy !== "fault-from-tlb"',
    "refused",
  ),
  atc("an insertion is told for the page that was asked for", "ssid, vpn: first, pages", "ssid, vpn, pages"),
  tested(
    TARGET,
    "sdk/dist/compose/tlb-target.js",
    "ATC_INV reaches every substream of a stream",
    "atc.sid === id && atc.ssid === arg",
    "atc.sid === id",
  ),
  tested(
    TARGET,
    "sdk/dist/compose/tlb-target.js",
    "a barrier does not wait for the devices' caches",
    "&& atcs.every((atc) => atc.drained)",
    "",
  ),
  tested(
    FAULTS,
    hardware("page-request-queue"),
    "a page is asked for without the right to write",
    "write ? 1 : 0",
    "0",
  ),
  tested(
    FAULTS,
    hardware("page-request-queue"),
    "only the first group is answered when all are discarded",
    "this.#answer(group, IOMMU_PAGE_RESP_INVALID);",
    "return this.#answer(group, IOMMU_PAGE_RESP_INVALID);",
  ),
  // What tracks accesses
  tested(
    CACHES,
    hardware("in-flight"),
    "an access of the first page is not waited for",
    "vpn >= start && vpn < end",
    "vpn > start && vpn < end",
  ),
  tested(
    CACHES,
    hardware("in-flight"),
    "another address space's accesses are waited for",
    "(asid !== -1 && i32[at + ASID] !== asid)",
    "false",
  ),
  // Shadow table, memslots, sequence counts
  shadow("a page that is mapped again is clean", "before & (SPTE_ACCESSED | SPTE_DIRTY)", "before & SPTE_ACCESSED"),
  shadow("a logged page is mapped writable", "hostWritable && (!writeProtected || write)", "hostWritable"),
  shadow("write protection leaves the page dirty", "spte & ~(SPTE_WRITABLE | SPTE_DIRTY)", "spte & ~SPTE_WRITABLE"),
  shadow(
    "a synchronised entry can be given the right back",
    "spte & ~(SPTE_WRITABLE | SPTE_MMU_WRITABLE)",
    "spte & ~SPTE_WRITABLE",
  ),
  shadow("a right that the host withholds is given back", "(spte & both) !== both", "(spte & both) === 0"),
  shadow(
    "a walk misses the last table of a range",
    "Math.ceil((end - base) / span)",
    "Math.floor((end - base) / span)",
  ),
  shadow(
    "a walk misses the first table of a range",
    "Math.floor((start - base) / span)",
    "Math.ceil((start - base) / span)",
  ),
  tested(SHADOW, software("memslots"), "a range runs on behind its end", "Math.min(end, vpn + pages)", "vpn + pages"),
  tested(
    SHADOW,
    software("memslots"),
    "slots that touch are taken to overlap",
    "of.gfn < gfn + pages && of.gfn + of.pages > gfn",
    "of.gfn <= gfn + pages && of.gfn + of.pages >= gfn",
  ),
  tested(
    SHADOW,
    software("sequence-count"),
    "a reader that began inside a change is content",
    "(seq & 1) !== 0 ||",
    "",
  ),
  tested(
    SHADOW,
    software("invalidate-counters"),
    "the sequence does not wrap",
    "(this.#words.get(SEQ) + 1) & this.#mask",
    "this.#words.get(SEQ) + 1",
  ),
];
