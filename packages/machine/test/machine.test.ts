import { mkPte, PTE_AF, PTE_RDONLY, PTE_USER, PTE_VALID, TINY } from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";
import {
  type AddressSpace,
  CONFIG,
  createMachine,
  KERNEL,
  type Machine,
  MEMORY,
  THREAD,
  type TimelineEvent,
} from "../src/index.js";
import { toyDriver, type ToyOptions } from "./toy-driver.js";

function small(): Machine {
  return createMachine({ kernel: "v6.12", arch: "arm64", geometry: TINY, plugins: [toyDriver()] });
}

/** Puts a readable page in, without telling anybody. */
function map(machine: Machine, process: AddressSpace, vpn: number): void {
  const { tables, mms, pages } = machine.kernel;
  tables.set(
    tables.findOrCreate(mms.pgd(process.mm), 0, vpn),
    mkPte(pages.alloc(), PTE_VALID | PTE_USER | PTE_AF | PTE_RDONLY),
  );
}

function failing(fails: ToyOptions["fails"]) {
  const machine = small();
  const process = machine.createProcess({ name: "app" });
  map(machine, process, 3);
  const device = machine.attach("toy", { process, name: "toy0", options: { fails } });
  return { machine, process, device };
}

describe("createMachine", () => {
  it("puts kernel and architecture together by name", () => {
    const { kernel } = createMachine({ kernel: "v6.4+upgrade-event", arch: "x86-64", config: { cpus: 2 } });

    expect([kernel.profile.name, kernel.arch.name, kernel.config.cpus]).toEqual(["v6.4+upgrade-event", "x86-64", 2]);
  });

  it.each([
    [{ kernel: "v6.13" }, /there is no kernel "v6\.13"\. Did you mean .*"v6\.12"/],
    [{ arch: "arm" }, /there is no architecture "arm"\. Did you mean "arm64"/],
  ])("refuses %j with the names there are", (options, message) => {
    expect(() => createMachine(options)).toThrow(message);
  });

  it("shares nothing between two machines", () => {
    const [a, b] = [small(), small()];
    a.createProcess();

    expect([a.processes.length, b.processes.length]).toEqual([1, 0]);
    expect(a.container.resolve(MEMORY)).not.toBe(b.container.resolve(MEMORY));
    expect(a.registry).not.toBe(b.registry);
    expect(a.container.resolve(KERNEL)).toBe(a.kernel);
  });

  it("gives each address space a container of its own below the machine's", () => {
    const machine = small();
    const [one, two] = [machine.createProcess(), machine.createProcess({ cpu: 0, name: "second" })];

    expect(one.container.resolve(THREAD)).not.toEqual(two.container.resolve(THREAD));
    expect(two.container.resolve(KERNEL)).toBe(machine.kernel);
    expect(machine.container.isRegistered(THREAD, true)).toBe(false);
    expect([one.name, two.name]).toEqual(["process0", "second"]);
  });

  it("lets a token be replaced before anything is built", () => {
    const machine = createMachine({ compose: (container) => void container.registerInstance(CONFIG, { cpus: 7 }) });

    expect(machine.kernel.config.cpus).toBe(7);
  });
});

describe("a device", () => {
  it("reads through its own translation and counts what that costs", () => {
    const { machine, device } = failing("never");

    const first = machine.run(device.read(3));
    machine.run(device.read(3));

    expect(device.outcome(first)).toEqual({ kind: "value", value: 0 });
    expect(device.report()).toMatchObject({ accesses: 2, hits: 1, misses: 1 });
    expect(device.entries()).toHaveLength(1);
    expect(device.decision()).toMatchObject({ protectionUpgrade: "deliver" });
  });

  it("is told of invalidations while it is attached, and not after it was unbound", () => {
    const { machine, process, device } = failing("never");
    machine.run(device.read(3));
    machine.run(machine.kernel.bus.invalidateRange(process.mm, 0, 4096));
    expect(device.entries()).toHaveLength(0);

    machine.run(device.unbind(process));

    expect(device.isBoundTo(process)).toBe(false);
    expect(() => device.entries()).toThrow("device toy0 is not bound to any process. Attach it first");
  });

  it("may be bound to several processes, one binding each", () => {
    const { machine, process, device } = failing("never");
    const second = machine.createProcess();

    expect(machine.attach("toy", { process: second, name: "toy0" })).toBe(device);
    expect(device.mms).toEqual([process.mm, second.mm]);
    expect(() => machine.attach("toy", { process, name: "toy0" })).toThrow(
      'there is a device "toy0" already (driver toy). Give this one another name',
    );
  });

  it("gets a name of its own, and lists where the driver's default is a list", () => {
    const machine = small();
    const process = machine.createProcess();

    const device = machine.attach("toy", { process, options: { ignore: "a,b" } });

    expect([device.name, device.options]).toEqual(["toy0", { ways: 4, ignore: ["a", "b"], fails: "never" }]);
  });

  it.each([
    [
      { waies: 1 },
      /device toy0 cannot be attached: driver toy \(createMachine\(\{ plugins \}\)\): driver toy has no option waies/,
    ],
    [{ fails: "create" }, /device toy0 cannot be attached: driver toy .*: no room for another address space/],
  ])("with options %j that do not work says whose fault it is", (options, message) => {
    const machine = small();
    const process = machine.createProcess();

    expect(() => machine.attach("toy", { process, options })).toThrow(message);
    expect(machine.devices).toEqual([]);
  });
});

describe("a driver that throws", () => {
  it.each([
    ["callback", "range is not iterable", undefined],
    ["step", "queue is full", "drop everything"],
  ] as const)(
    "in its %s is named with package, event, step and cause, and the others are served",
    (fails, message, step) => {
      const { machine, process } = failing(fails);
      const sane = machine.attach("toy", { process, name: "sane" });
      machine.run(sane.read(3));

      machine.run(machine.kernel.bus.invalidateRange(process.mm, 0, 4096));

      expect(sane.entries()).toHaveLength(0);
      expect(machine.driverErrors).toHaveLength(1);
      expect(machine.driverErrors[0]).toMatchObject({
        code: "DRIVER_THREW",
        details: {
          package: "createMachine({ plugins })",
          driver: "toy",
          device: "toy0",
          during: "arch_invalidate_secondary_tlbs",
          step,
        },
        cause: { message },
      });
    },
  );

  it("during an access ends that access only", () => {
    const { machine, process, device } = failing("access");

    expect(() => machine.run(device.read(3))).toThrow(
      "driver toy (createMachine({ plugins })), device toy0, threw during read of page 3: the walker met a descriptor it does not know. The rest of the machine went on",
    );
    expect(() => device.access(3, "write")).toThrow("threw during write of page 3");

    expect(machine.attach("toy", { process, name: "other" }).access(3, "read").outcome).toEqual({
      kind: "value",
      value: 0,
    });
  });
});

describe("the timeline", () => {
  it("merges bus, devices and errors of drivers in the order they happen", () => {
    const { machine, process, device } = failing("callback");
    const seen: TimelineEvent[] = [];
    const subscription = machine.timeline.subscribe((event) => seen.push(event));

    machine.run(device.read(3));
    machine.run(machine.kernel.bus.invalidateRange(process.mm, 0, 4096));
    subscription.unsubscribe();
    machine.run(device.read(3));

    const sources = seen.map((event) =>
      event.source === "device" ? `${event.device} ${event.event.kind}` : event.source,
    );
    expect(sources.slice(0, 2)).toEqual(["toy0 lookup", "toy0 walk-read"]);
    expect(sources.slice(-2)).toEqual(["bus", "driver-error"]);
    expect(sources).toContain("toy0 access");
  });

  it("costs nothing while nobody watches", () => {
    const { machine } = failing("never");
    expect(machine.kernel.observed).toBe(false);

    const subscription = machine.timeline.subscribe(() => undefined);
    expect(machine.kernel.observed).toBe(true);
    subscription.unsubscribe();

    expect(machine.kernel.observed).toBe(false);
  });
});

describe("a machine", () => {
  it("prints itself as a tree", () => {
    const { machine } = failing("never");

    const lines = machine.describe().split("\n");

    expect(lines[0]).toBe("machine: kernel v6.12 on arm64");
    expect(lines).toContain("│  └─ app (mm 1)");
    expect(lines).toContain("│  └─ toy0: driver toy from createMachine({ plugins })");
    expect(lines).toContain("│        └─ on upgrade: deliver, because declares.filters does not list the event");
    expect(lines).toContain("│  ├─ driver toy from createMachine({ plugins })");
    expect(lines).toContain("   ├─ machine:kernel");
  });

  it("that was closed lets its devices go and refuses to work", () => {
    const { machine, process, device } = failing("never");

    machine.close();
    machine.close();

    expect(machine.scheduler.tasks).toEqual([]);
    expect(device.mms).toEqual([]);
    expect(() => machine.createProcess()).toThrow("the machine (v6.12, arm64) was closed. Create a new one");
    expect(() => machine.attach("toy", { process })).toThrow(expect.objectContaining({ code: "MACHINE_CLOSED" }));
  });
});
