import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  mmput,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  sysMmap,
  sysMunmap,
} from "@mmu-notifier/core";
import {
  type Binding,
  type BindingContext,
  chain,
  type Declarations,
  defineSecondaryMmu,
  exceptEvents,
  iotlb,
  isWholeMm,
  lockAt,
  lockClass,
  type MmuNotification,
  mutexLock,
  mutexUnlock,
  pageRange,
  phases,
  type SecondaryMmuDefinition,
  softwareFault,
  step,
} from "@mmu-notifier/sdk";
import { describe, expect, it } from "vitest";
import { checkHiddenState, createMachine, type Machine, type MachineError, PluginRegistry } from "../src/index.js";

type Context = BindingContext<undefined, Record<string, never>>;

const PAGE = 0x1000;
const DECLARES: Declarations = {
  pageTable: "mirror",
  onMissingRight: "fault",
  resolvesFaultsInSoftware: true,
  reachedByBroadcast: [],
  filters: [],
};
const ORIGIN = "acme-npu@1.2.3";

/** A driver without a mistake: a TLB that start empties. `change` puts one in. */
function create(context: Context, callback?: (n: MmuNotification, drop: () => void) => unknown): Binding {
  const { faults, mm, notifications, walker } = context;
  const tlb = iotlb(context, { sets: 1, ways: 4, hitPolicy: "fault-from-tlb" });
  const answer = (n: MmuNotification): unknown => {
    const { start, end } = n.phase === "release" || isWholeMm(n) ? { start: 0, end: Infinity } : pageRange(n);
    const drop = (): void =>
      n.waitUntil(function* () {
        yield step("drop", () => tlb.invalidateRange(mm.id, start, end));
      });
    if (callback !== undefined) return callback(n, drop);
    drop();
    return undefined;
  };
  return {
    translation: chain(
      tlb.stage(() => mm.id, walker),
      walker,
    ),
    connection: notifications.pipe(phases("start", "end", "release")).subscribe(answer),
    fault: softwareFault(context, faults),
    *unbind() {
      yield step("drop everything", () => tlb.invalidateASID(mm.id));
    },
    entries: () => tlb.entries(mm.id),
  };
}

function definition(change: Partial<SecondaryMmuDefinition> = {}): SecondaryMmuDefinition {
  return defineSecondaryMmu({
    name: "acme-npu",
    sdk: 1,
    summary: "an NPU",
    declares: DECLARES,
    create: (context) => create(context),
    ...change,
  });
}

/** A machine whose process has 4 pages, with the device bound to it. */
function attached(change: Partial<SecondaryMmuDefinition>) {
  const registry = PluginRegistry.withCore().add(definition(change), ORIGIN);
  const machine = createMachine({ kernel: "v6.4+upgrade-event", arch: "arm64", registry });
  const app = machine.createProcess({ name: "app" });
  machine.run(sysMmap(machine.kernel, app.thread, anonymous(PAGE)));
  const device = machine.attach("acme-npu", { process: app, name: "npu0" });
  return { machine, app, device };
}

function anonymous(page: number) {
  return {
    address: page * PAGE_SIZE,
    length: 4 * PAGE_SIZE,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
  };
}

function unmap({ machine, app }: ReturnType<typeof attached>): void {
  machine.run(sysMunmap(machine.kernel, app.thread, PAGE * PAGE_SIZE, PAGE_SIZE));
}

/** The message of what a machine found or threw: it has to name package, driver, what was going on, and the remedy. */
function message(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return expect.unreachable("nothing was thrown");
}

const only = (found: readonly MachineError[]): MachineError => {
  expect(found.map((one) => one.message)).toHaveLength(1);
  return found[0]!;
};

describe("a driver without a mistake", () => {
  it("is told nothing", () => {
    const set = attached({});
    set.device.access(PAGE, "write");
    unmap(set);
    set.device.access(PAGE + 1, "write");
    set.machine.run(set.device.unbind(set.app));
    checkHiddenState(set.machine, attached({}).device, "nothing", () => 0);

    expect([...set.machine.driverErrors, ...set.machine.driverBreaches]).toEqual([]);
  });
});

describe("what a driver's author is told about", () => {
  it("1. a callback that throws", () => {
    const set = attached({
      create: (context) =>
        create(context, (n) => {
          if (n.phase === "start") throw new Error("no room in the queue");
        }),
    });

    unmap(set);

    const error = only(set.machine.driverErrors);
    expect(error.code).toBe("DRIVER_THREW");
    expect(error.message).toMatch(
      /driver acme-npu \(acme-npu@1\.2\.3\), device npu0, threw during start MMU_NOTIFY_UNMAP/,
    );
    expect(error.message).toContain("no room in the queue");
  });

  it.each([
    ["nothing", () => undefined, "returned nothing. Return { translation, fault, unbind, entries }"],
    [
      "a translation that is a function",
      (c: Context) => ({ ...create(c), translation: () => 0 }),
      "Write translation: chain(…)",
    ],
    [
      "no entries",
      (c: Context) => ({ ...create(c), entries: undefined }),
      "returned a binding without entries. Write entries",
    ],
    [
      "no fault",
      (c: Context) => ({ ...create(c), fault: undefined }),
      "without a fault strategy. Write fault: abortOnFault()",
    ],
  ])("2. create that returns %s", (_, made, remedy) => {
    const text = message(() => attached({ create: made as never }));

    expect(text).toContain("device npu0 cannot be attached: driver acme-npu (acme-npu@1.2.3)");
    expect(text).toContain("create of driver acme-npu");
    expect(text).toContain(remedy);
  });

  it("3. a teardown that is forgotten", () => {
    const set = attached({ create: (context) => ({ ...create(context), *unbind() {} }) });
    set.device.access(PAGE, "read");

    set.machine.run(set.device.unbind(set.app));

    const { code, message: text } = only(set.machine.driverBreaches);
    expect(code).toBe("DRIVER_CONTRACT");
    expect(text).toMatch(
      /driver acme-npu \(acme-npu@1\.2\.3\), device npu0, in unbind: the translation of page 4096 is left/,
    );
    expect(text).toContain("Make every cached translation unusable there");
  });

  it("3b. a release that is not listened to", () => {
    const set = attached({
      create: (context) => {
        const made = create(context);
        made.connection?.unsubscribe();
        return { ...made, connection: context.notifications.pipe(phases("change-pte")).subscribe(() => undefined) };
      },
    });
    set.device.access(PAGE, "read");

    set.machine.run(mmput(set.machine.kernel, set.app.thread));

    const { message: text } = only(set.machine.driverBreaches);
    expect(text).toMatch(/driver acme-npu \(acme-npu@1\.2\.3\), device npu0, in release: the translation of page 4096/);
    expect(text).toContain("Subscribe to release as well");
  });

  it("4. a filter on one side", () => {
    const set = attached({
      create: (context) =>
        create(context, (n, drop) => {
          if (n.phase !== "start" || n.event !== "MMU_NOTIFY_UNMAP") drop();
        }),
    });
    const { machine, app } = set;
    const range = { mm: app.mm, start: 0, end: PAGE_SIZE, event: "MMU_NOTIFY_CLEAR" as const };
    machine.run(machine.kernel.bus.invalidateRangeStart(range));
    machine.run(machine.kernel.bus.invalidateRangeEnd(range));
    unmap(set);
    unmap(set);

    const { message: text } = only(machine.driverBreaches);
    expect(text).toMatch(
      /driver acme-npu \(acme-npu@1\.2\.3\), device npu0, in invalidate_range_start MMU_NOTIFY_UNMAP/,
    );
    expect(text).toContain("Filter an event in both or in neither");
  });

  it("5. a declaration that its callbacks do not keep", () => {
    const declares = { ...DECLARES, filters: ["MMU_NOTIFY_UNMAP"] as const };
    const set = attached({ declares });

    unmap(set);

    const { message: text } = only(set.machine.driverBreaches);
    expect(text).toMatch(
      /driver acme-npu \(acme-npu@1\.2\.3\), device npu0, in invalidate_range_start MMU_NOTIFY_UNMAP/,
    );
    expect(text).toContain("Take it off the list");
  });

  it("6. another generation of the sdk", () => {
    const text = message(() => PluginRegistry.withCore().add({ ...definition(), sdk: 2 }, ORIGIN));

    expect(text).toBe(
      "acme-npu@1.2.3 is written for sdk 2, this is sdk 1. Install a version of acme-npu@1.2.3 for sdk 1",
    );
  });

  it("7. a name that is taken", () => {
    const registry = PluginRegistry.withCore().add(definition(), ORIGIN);

    expect(message(() => registry.add(definition(), "./my-driver.ts"))).toBe(
      'two plugins are a driver "acme-npu": one from acme-npu@1.2.3, one from ./my-driver.ts. Rename one, or leave one out',
    );
  });

  it.each([
    [
      "callback",
      (n: MmuNotification, drop: () => void) => {
        drop();
        return n.phase === "start" ? Promise.resolve() : undefined;
      },
      "Make it an ordinary function",
    ],
    [
      "work",
      (n: MmuNotification) => {
        if (n.phase === "start") n.waitUntil((async () => undefined) as never);
      },
      "Give it a generator function",
    ],
  ])("8. an async %s", (_, callback, remedy) => {
    const set = attached({ create: (context) => create(context, callback) });

    unmap(set);

    const { message: text } = only(set.machine.driverErrors);
    expect(text).toMatch(/driver acme-npu \(acme-npu@1\.2\.3\), device npu0, threw during start MMU_NOTIFY_UNMAP/);
    expect(text).toContain(remedy);
  });

  it("8b. an async create", () => {
    const text = message(() => attached({ create: (async (c: Context) => create(c)) as never }));

    expect(text).toMatch(
      /driver acme-npu \(acme-npu@1\.2\.3\): create of driver acme-npu returned a Promise\. Make create/,
    );
  });

  it("9. no default export", () => {
    expect(message(() => PluginRegistry.withCore().add(undefined, ORIGIN))).toBe(
      "acme-npu@1.2.3 is no secondary-MMU driver: its default export is undefined. Export default defineSecondaryMmu({ … })",
    );
  });

  it("10. work that never ends", () => {
    const set = attached({
      create: (context) =>
        create(context, (n) => {
          if (n.phase === "start")
            n.waitUntil(function* () {
              for (;;) yield step("poll the register", () => 0);
            });
        }),
    });

    unmap(set);

    const { message: text } = only(set.machine.driverErrors);
    expect(text).toMatch(/driver acme-npu \(acme-npu@1\.2\.3\), device npu0, threw during start MMU_NOTIFY_UNMAP/);
    expect(text).toContain('the last "poll the register", and does not end. Wait with spinUntil()');
  });

  it("11. sleeping where it may not", () => {
    const set = attached({
      create: (context) => {
        const words = context.memory.words("lock", 2);
        const lock = lockAt(lockClass("npu mutex", "mutex"), words.segment, words.base);
        const made = create(context);
        made.connection?.unsubscribe();
        const connection = context.notifications.pipe(phases("invalidate-range")).subscribe((n) =>
          n.waitUntil(function* () {
            yield mutexLock(lock);
            yield mutexUnlock(lock);
          }),
        );
        return { ...made, connection };
      },
    });
    set.device.access(PAGE, "write");

    const text = message(() => unmap(set));

    expect(text).toContain("sleeping function called from invalid context");
    expect(text).toMatch(/It is driver acme-npu \(acme-npu@1\.2\.3\), device npu0, in invalidate_range$/);
  });

  it("12. -EAGAIN where the call may sleep", () => {
    const set = attached({
      create: (context) => {
        const made = create(context);
        made.connection?.unsubscribe();
        return { ...made, connection: context.notifications.pipe(phases("start")).subscribe((n) => n.refuse()) };
      },
    });

    unmap(set);

    const { message: text } = only(set.machine.driverBreaches);
    expect(text).toMatch(
      /driver acme-npu \(acme-npu@1\.2\.3\), device npu0, in invalidate_range_start MMU_NOTIFY_UNMAP/,
    );
    expect(text).toContain("Do the work, or sleep for it");
  });

  it("13. an event that does not exist, declared and filtered", () => {
    const declares = { ...DECLARES, filters: ["MMU_NOTIFY_UPGRADE"] };
    const declared = message(() => PluginRegistry.withCore().add({ ...definition(), declares }, ORIGIN));
    expect(declared).toContain('acme-npu@1.2.3 is no secondary-MMU driver: declares.filters is ["MMU_NOTIFY_UPGRADE"]');
    expect(declared).toContain("MMU_NOTIFY_PROTECTION_UPGRADE");

    const piped = message(() =>
      attached({
        create: (context) => {
          context.notifications.pipe(exceptEvents("MMU_NOTIFY_UPGRADE" as never));
          return create(context);
        },
      }),
    );
    expect(piped).toContain("driver acme-npu (acme-npu@1.2.3)");
    expect(piped).toContain("MMU_NOTIFY_UPGRADE");
  });

  it("14. hidden state", () => {
    let accesses = 0;
    const set = attached({
      create: (context) => {
        const made = create(context);
        return {
          ...made,
          translation: {
            *translate(request) {
              accesses++;
              yield step("think", () => 0);
              return accesses > 2 ? yield* made.translation.translate(request) : -0x10;
            },
          },
        };
      },
    });
    const { machine, device } = set;

    const text = message(() =>
      checkHiddenState(machine, device, "a read of page 4096", () => device.access(PAGE, "read")),
    );

    expect(text).toMatch(/driver acme-npu \(acme-npu@1\.2\.3\), device npu0: a read of page 4096, run twice/);
    expect(text).toContain("Keep what lives between steps in context.memory");
  });

  it("15. a binding twice, and a subscription that is left", () => {
    const set = attached({
      create: (context) => {
        context.notifications.pipe(phases("release")).subscribe(() => undefined);
        return create(context);
      },
    });
    expect(message(() => set.machine.attach("acme-npu", { process: set.app, name: "npu0" }))).toContain(
      'there is a device "npu0" already (driver acme-npu)',
    );

    set.machine.run(set.device.unbind(set.app));

    const { message: text } = only(set.machine.driverBreaches);
    expect(text).toMatch(
      /driver acme-npu \(acme-npu@1\.2\.3\), device npu0, in unbind: 1 of its subscriptions outlived/,
    );
    expect(text).toContain("Subscribe once, and return that as connection");
  });
});

describe("the rest of the machine", () => {
  it("goes on beside a driver that throws", () => {
    const registry = PluginRegistry.withCore()
      .add(
        definition({
          create: (context) =>
            create(context, () => {
              throw new Error("broken");
            }),
        }),
        ORIGIN,
      )
      .add(definition({ name: "sound-npu" }), "sound-npu@1.0.0");
    const machine: Machine = createMachine({ registry });
    const app = machine.createProcess();
    machine.run(sysMmap(machine.kernel, app.thread, anonymous(PAGE)));
    machine.attach("acme-npu", { process: app });
    const sound = machine.attach("sound-npu", { process: app });
    sound.access(PAGE, "write");

    unmap({ machine, app, device: sound });

    expect(sound.entries()).toEqual([]);
    expect(new Set(machine.driverErrors.map(({ details }) => details["driver"]))).toEqual(new Set(["acme-npu"]));
  });
});
