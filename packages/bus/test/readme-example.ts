import { lockAt, lockClass, Memory, Scheduler, step } from "@mmu-notifier/steps";
import { exceptEvents, type MmuNotifierRange, NotifierBus, ranges } from "@mmu-notifier/bus";

const memory = new Memory();
const words = memory.segment("mm", 4, 1);
const bus = new NotifierBus(memory, {
  hook: "invalidate_range",
  hookFromRangeEnd: true,
  rejectsMixedOps: false,
  hasChangePte: true,
  hasUpgradeEvent: true,
});
const mmapLock = lockAt(lockClass("mmap_lock", "rwsem"), words, words.alloc() * 4 + 1);
const none = () => undefined;
bus.attach({
  id: 1,
  mmapLock,
  users: () => 1,
  grab: none,
  drop: none,
  *takeAllLocks() {
    return 0;
  },
  *dropAllLocks() {},
});

function* flush(n: { readonly phase: string; readonly start: number; readonly end: number }) {
  yield step("CMD_TLBI_NH_VA", () => (console.log(n.phase, n.start.toString(16), n.end.toString(16)), 0));
}
bus
  .notifications(1)
  .named("acme-npu")
  .pipe(ranges(), exceptEvents("MMU_NOTIFY_PROTECTION_UPGRADE"))
  .subscribe((n) => n.waitUntil(flush));

const range: MmuNotifierRange = { mm: 1, start: 0x1000, end: 0x3000, event: "MMU_NOTIFY_UNMAP" };
new Scheduler().run(bus.invalidateRangeStart(range)); // start 1000 3000
new Scheduler().run(bus.invalidateRangeEnd(range)); // end 1000 3000
