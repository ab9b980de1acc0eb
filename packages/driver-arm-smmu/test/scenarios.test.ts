import {
  type BoundDevice,
  deviceAccess,
  PAGE_SIZE,
  READ_ONLY,
  READ_WRITE,
  Workbench,
  WRITABLE_CLEAN,
  PTE_DIRTY,
} from "@mmu-notifier/sdk";
import { describe, expect, it } from "vitest";
import armSmmu, { type ArmSmmuOptions } from "../src/index.js";

function setUp(
  profile: string,
  options: Partial<ArmSmmuOptions> = {},
  arch = "arm64",
  geometry: "tiny" | "four-level" = "tiny",
) {
  const bench = new Workbench({ profile, arch, geometry });
  const device = bench.device(armSmmu, options);
  return { bench, device, bind: () => device.bind(bench.mm) };
}

const iotlbAllowsWrite = (bound: BoundDevice): boolean => bound.binding.entries().some(({ write }) => write);

describe("interleavings", () => {
  it("X1: the CPU upgrades a page that the device has cached read-only: one fault at most where the SMMU is told, none that ends where it is not", () => {
    for (const [profile, expected] of [
      ["v6.12", { outcome: { kind: "value", value: 7 }, faults: 0 }],
      ["v6.4+upgrade-event", { outcome: { kind: "value", value: 7 }, faults: 0 }],
      ["v6.4", { outcome: { kind: "livelock" } }],
    ] as const) {
      const { bench, bind } = setUp(profile);
      bench.map(3, WRITABLE_CLEAN);
      const bound = bind();
      bench.access(bound, 3, "read");

      bench.run(bench.upgrade(3));

      expect(bench.access(bound, 3, "write", 7)).toMatchObject(expected);
    }
  });

  it("X1: a device write between the PTE store and the invalidation faults once, spuriously, and then gets through", () => {
    const { bench, device, bind } = setUp("v6.4+upgrade-event");
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");
    const cpu = bench.actor("cpu", bench.upgrade(3)).until("spin_unlock");
    const dev = bench.actor("dev", deviceAccess(bound, 3, "write", 7)).until("F_PERMISSION");
    dev.step();

    cpu.finish();

    expect(dev.finish()).toBe(7);
    expect(device.costs.report()).toMatchObject({ faults: 1, spuriousFaults: 1 });
  });

  it("X2: the device's own write causes the upgrade: one fault with the event, a livelock when it is filtered", () => {
    const run = (experimentalFilter: ArmSmmuOptions["experimentalFilter"]) => {
      const { bench, bind } = setUp("v6.4+upgrade-event", { experimentalFilter, experimentalStartEnd: true });
      bench.map(3, WRITABLE_CLEAN);
      const bound = bind();
      bench.access(bound, 3, "read");
      return bench.access(bound, 3, "write", 7);
    };

    expect(run([])).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 1 });
    expect(run(["MMU_NOTIFY_PROTECTION_UPGRADE"])).toMatchObject({
      outcome: { kind: "livelock" },
      cycle: [
        "hit policy",
        "iotlb lookup",
        "cd.S",
        "F_PERMISSION, stall",
        "pte_offset_map",
        expect.stringContaining("spin_lock"),
        "ptep_get",
        "ptep_set_access_flags",
        expect.stringContaining("spin_unlock"),
        "cmdq: 1 commands",
        "CMD_RESUME: wait",
      ],
    });
  });

  it("X3: the page goes away between the upgrade's lock and its event: the late event installs nothing", () => {
    const { bench, bind } = setUp("v6.4+upgrade-event");
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");
    const upgrade = bench.actor("cpu0", bench.upgrade(3));
    while (!upgrade.at!.includes("spin_unlock")) upgrade.step();
    upgrade.step();

    bench.run(bench.unmap(3), "cpu1");
    upgrade.finish();

    expect(bound.binding.entries()).toEqual([]);
    expect(bench.access(bound, 3, "write").outcome.kind).toBe("abort");
  });

  it("X4: fork takes the write right away: no entry allows a write once the flush is complete", () => {
    for (const profile of ["v6.4", "v6.12"]) {
      const { bench, bind } = setUp(profile);
      bench.map(3, READ_WRITE);
      const bound = bind();
      bench.access(bound, 3, "write", 1);
      expect(iotlbAllowsWrite(bound)).toBe(true);

      bench.run(bench.downgrade(3));

      expect(iotlbAllowsWrite(bound)).toBe(false);
    }
  });

  it("X6: PTE change and TLBI between walk-read and walk-insert: the old entry is never used after SYNC", () => {
    const { bench, bind } = setUp("v6.12");
    bench.map(3, READ_WRITE);
    const bound = bind();
    const dev = bench.actor("dev", deviceAccess(bound, 3, "write", 7)).until("walk-insert");

    bench.run(bench.downgrade(3));
    dev.step();

    expect(iotlbAllowsWrite(bound)).toBe(false);
    dev.finish();
    expect(bound.context.costs.of("faults")).toBe(1);
  });

  it("X6 with ATS: a completion that an ATC_INV overtook is discarded when it arrives", () => {
    const { bench, bind } = setUp("v6.12", { ats: true });
    bench.map(3, READ_WRITE);
    const bound = bind();
    const dev = bench.actor("dev", deviceAccess(bound, 3, "write", 7)).until("ats completion");

    bench.run(bench.unmap(3));
    dev.step();

    expect(bound.binding.entries()).toEqual([]);
    expect(dev.until("atc lookup").blocked).toBe(false);
  });

  it("X10: hardware upgraded in silence and the software dirty bit was set: a livelock unless spurious faults invalidate", () => {
    const run = (invalidateOnSpurious: boolean) => {
      const { bench, bind } = setUp("v6.12", { invalidateOnSpurious }, "arm64-hafdbs");
      bench.map(3, WRITABLE_CLEAN | PTE_DIRTY);
      const bound = bind();
      bench.access(bound, 3, "read");
      bench.hardwareDirty(3);
      return bench.access(bound, 3, "write", 7);
    };

    expect(run(false).outcome).toEqual({ kind: "livelock" });
    expect(run(true)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 1 });
  });

  it("X10: with the software dirty bit clear the first fault still changes the entry, so the kernel notifies and it converges", () => {
    const { bench, bind } = setUp("v6.12", {}, "arm64-hafdbs");
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");
    bench.hardwareDirty(3);

    expect(bench.access(bound, 3, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 1 });
  });

  it("X11: an upgrade of 2 MiB without RIL flushes the whole ASID", () => {
    const { bench, device, bind } = setUp("v6.4+upgrade-event", {}, "arm64", "four-level");
    bench.map(512, READ_ONLY);
    bench.map(5000, READ_ONLY);
    const bound = bind();
    bench.access(bound, 512, "read");
    bench.access(bound, 5000, "read");
    const range = {
      mm: bench.mm,
      start: 512 * PAGE_SIZE,
      end: 1024 * PAGE_SIZE,
      event: "MMU_NOTIFY_PROTECTION_UPGRADE" as const,
    };

    bench.run(bench.k.bus.invalidateRangeStart(range));
    bench.run(bench.k.bus.invalidateRangeEnd(range));

    expect(device.costs.commands("CMD_TLBI_NH_ASID")).toBe(1);
    expect(bound.binding.entries()).toEqual([]);
  });

  it("X12: where arm64 flushes upgrades locally the hook is still called, and that is enough", () => {
    const { bench, bind } = setUp("v7.3");
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");

    expect(bench.access(bound, 3, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 1 });
  });

  it("X13: 65 pages are two batches and one SYNC; with FORCE_SYNC every window of 63 has its own", () => {
    const cost = (forceSync: boolean, pages: number) => {
      const { bench, device, bind } = setUp("v6.12", { forceSync, queueDepth: 65 }, "arm64", "four-level");
      bind();
      bench.run(bench.k.bus.invalidateRange(bench.mm, 0, pages * PAGE_SIZE));
      return device.costs.report().commands;
    };

    expect(cost(false, 65)).toEqual({ CMD_TLBI_NH_VA: 65, CMD_SYNC: 1 });
    expect(cost(true, 65)).toEqual({ CMD_TLBI_NH_VA: 65, CMD_SYNC: 2 });
  });

  it("X13: hardware that stands still makes the writer time out with an error", () => {
    const { bench, device, bind } = setUp("v6.12", { queueDepth: 65 });
    bind();
    const errors: string[] = [];
    device.events.stream.subscribe((event) => {
      if (event.kind === "error") errors.push(event.code);
    });
    device.shared.queue.halt(true);

    bench.run(bench.k.bus.invalidateRange(bench.mm, 0, PAGE_SIZE));

    expect(errors).toEqual(["CMDQ_TIMEOUT"]);
    expect(device.costs.of("timeouts")).toBe(1);
  });

  it("X14: a device that does not answer its ATC_INV shows as an error of the next SYNC, once", () => {
    const { bench, device, bind } = setUp("v6.12", { ats: true });
    bench.map(3, READ_WRITE);
    const bound = bind();
    bench.access(bound, 3, "read");
    const errors: string[] = [];
    device.events.stream.subscribe((event) => {
      if (event.kind === "error") errors.push(event.code);
    });
    device.shared.atcs[0]!.setDead(true);

    bench.run(bench.k.bus.invalidateRange(bench.mm, 3 * PAGE_SIZE, 4 * PAGE_SIZE));
    expect(errors).toEqual(["CERROR_ATC_INV_SYNC"]);
    expect(bound.binding.entries()).toEqual([]);
    bench.run(bench.k.bus.invalidateRange(bench.mm, 3 * PAGE_SIZE, 4 * PAGE_SIZE));
    device.shared.atcs[0]!.setDead(false);
    bench.run(bench.k.bus.invalidateRange(bench.mm, 3 * PAGE_SIZE, 4 * PAGE_SIZE));

    expect(errors).toHaveLength(1);
    expect(device.costs.commands("CMD_ATC_INV")).toBe(1);
    expect(device.costs.commands("CMD_CFGI_STE")).toBe(1);
    expect(bench.access(bound, 3, "read").outcome).toEqual({ kind: "abort", fault: "F_TRANSL_FORBIDDEN" });
  });
});
