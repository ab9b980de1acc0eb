// CPU time of one notification (a start and its end) on the straight runner, by number and kind of subscribers.
// Each variant runs in a process of its own, five rounds of which the first is dropped; the least and the median are printed.
//   npx tsc -b packages/bus && node packages/bus/bench/dispatch.mjs
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { lockAt, lockClass, Memory, Scheduler, step } from "@mmu-notifier/steps";
import { exceptEvents, NotifierBus, ranges } from "@mmu-notifier/bus";
import { filter } from "rxjs";

const NOTIFICATIONS = 200_000;
const ROUNDS = 6;
const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";
const work = step("work", () => 0);

function* flush() {
  yield work;
}

const table = (stream) => stream.pipe(ranges());
const filtered = (stream) => stream.pipe(ranges(), exceptEvents(UPGRADE));
const variants = {
  "an mm that never had a subscriber": { count: 0, registered: false },
  "0 subscribers": { count: 0 },
  "1 subscriber": { count: 1 },
  "3 subscribers": { count: 3 },
  "10 subscribers": { count: 10 },
  "3 subscribers, hook too": { count: 3, pipe: (stream) => stream },
  "3 subscribers, event filtered": { count: 3, pipe: filtered },
  "10 subscribers, event filtered": { count: 10, pipe: filtered },
  "3 subscribers behind an RxJS filter": { count: 3, pipe: (stream) => table(stream).pipe(filter((n) => n.end > 0)) },
  "3 subscribers, calls observed": { count: 3, observed: true },
  "3 subscribers, a step of work each": { count: 3, works: () => flush },
  "3 subscribers, a new function* each": {
    count: 3,
    works: () =>
      function* () {
        yield work;
      },
  },
};

function measure({ count, pipe = table, registered = true, observed = false, works }) {
  const memory = new Memory();
  const segment = memory.segment("mm", 4, 1);
  const bus = new NotifierBus(memory, {
    hook: "invalidate_range",
    hookFromRangeEnd: true,
    rejectsMixedOps: false,
    hasChangePte: true,
    hasUpgradeEvent: true,
  });
  bus.attach({
    id: 1,
    mmapLock: lockAt(lockClass("mmap_lock", "rwsem"), segment, segment.alloc() * 4 + 1),
    users: () => 1,
    grab: () => undefined,
    drop: () => undefined,
    *takeAllLocks() {
      return 0;
    },
    *dropAllLocks() {},
  });
  if (registered)
    bus
      .notifications(1)
      .subscribe(() => undefined)
      .unsubscribe();
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    pipe(bus.notifications(1)).subscribe((n) => {
      bytes += n.end - n.start;
      if (works !== undefined) n.waitUntil(works());
    });
  }
  if (observed) bus.calls.subscribe(() => bytes++);
  function* calls() {
    for (let i = 0; i < NOTIFICATIONS; i++) {
      const range = { mm: 1, start: 0x1000, end: 0x2000, event: UPGRADE, flags: 1 };
      yield* bus.invalidateRangeStart(range);
      yield* bus.invalidateRangeEnd(range);
    }
  }
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    new Scheduler().run(calls());
    const { user, system } = process.cpuUsage(before);
    times.push(((user + system) * 1000) / NOTIFICATIONS);
  }
  times.shift();
  times.sort((a, b) => a - b);
  return { least: times[0], median: times[times.length >> 1] };
}

const [, , only] = process.argv;
if (only === undefined) {
  console.log("ns a notification".padEnd(40), "least", "median".padStart(7));
  for (const name of Object.keys(variants)) {
    process.stdout.write(
      spawnSync(process.execPath, [fileURLToPath(import.meta.url), name], { encoding: "utf8" }).stdout,
    );
  }
} else {
  const { least, median } = measure(variants[only]);
  console.log(only.padEnd(40), least.toFixed(0).padStart(5), median.toFixed(0).padStart(7));
}
