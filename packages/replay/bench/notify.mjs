// One notification (start and end of an upgrade of one page) to N drivers of N different classes.
// usage: node notify.mjs loop|rxjs|filtered|delivered N
import { exceptEvents, NotifierBus } from "@mmu-notifier/bus";
import { lockAt, lockClass, Memory, Scheduler } from "@mmu-notifier/steps";
import { report } from "./measure.mjs";

const [, , variant, count] = process.argv;
const N = Number(count);
const PAGES = 1 << 16;
const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";

/** Classes of their own, as drivers of different authors have: call sites that see all of them are megamorphic. */
function driverClass(i) {
  return {
    [`Driver${i}`]: class {
      calls = 0;
      dropped = 0;
      [`field${i}`] = i;
      tlb = new Int32Array(64);
      interested = variant === "delivered" || (variant !== "filtered" && i % 3 !== 2);
      start(start, end) {
        this.calls++;
        for (let page = start; page < end; page++) {
          if (this.tlb[page & 63] !== page + 1) continue;
          this.tlb[page & 63] = 0;
          this.dropped++;
        }
      }
      end() {
        this.calls++;
      }
    },
  }[`Driver${i}`];
}
const drivers = Array.from({ length: N }, (_, i) => new (driverClass(i))());

const table = new Int32Array(PAGES);
const order = Int32Array.from({ length: PAGES }, (_, i) => Math.imul(i, 40503) & (PAGES - 1));
const prepare = () => {
  for (let page = 0; page < PAGES; page++) table[page] = (page << 3) | 1;
};
const upgrade = (page) => {
  table[page] |= 6;
};
const counters = () => drivers.map(({ calls }) => calls).join(",");

function loop() {
  for (let i = 0; i < PAGES; i++) {
    const page = order[i];
    upgrade(page);
    for (let d = 0; d < N; d++) if (drivers[d].interested) drivers[d].start(page, page + 1);
    for (let d = 0; d < N; d++) if (drivers[d].interested) drivers[d].end(page, page + 1);
  }
  return PAGES;
}

function stream() {
  const memory = new Memory();
  const segment = memory.segment("mm", 4, 1);
  const mmapLock = lockAt(lockClass("mmap_lock", "rwsem"), segment, segment.alloc() * 4 + 1);
  const noPath = function* () {
    return 0;
  };
  const bus = new NotifierBus(memory, {
    hook: "invalidate_range",
    hookFromRangeEnd: false,
    rejectsMixedOps: false,
    hasChangePte: true,
    hasUpgradeEvent: true,
  });
  bus.attach({
    id: 1,
    mmapLock,
    users: () => 1,
    grab() {},
    drop() {},
    takeAllLocks: noPath,
    dropAllLocks: noPath,
  });
  for (const driver of drivers) {
    const all = bus.notifications(1);
    const wanted = driver.interested ? all : all.pipe(exceptEvents(UPGRADE));
    wanted.subscribe(({ phase, start, end }) => {
      if (phase === "start") driver.start(start / 4096, end / 4096);
      else if (phase === "end") driver.end();
    });
  }
  const scheduler = new Scheduler();
  function* faults() {
    for (let i = 0; i < PAGES; i++) {
      const page = order[i];
      upgrade(page);
      const range = { mm: 1, start: page * 4096, end: page * 4096 + 4096, event: UPGRADE };
      yield* bus.invalidateRangeStart(range);
      yield* bus.invalidateRangeEnd(range);
    }
  }
  return () => {
    scheduler.run(faults());
    return PAGES;
  };
}

report({ prepare, run: variant === "loop" ? loop : stream(), counters });
