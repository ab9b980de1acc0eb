import {
  checkDeclaration,
  deviceAccess,
  hostFacts,
  PAGE_SIZE,
  READ_ONLY,
  READ_WRITE,
  Workbench,
  WRITABLE_CLEAN,
  PTE_DIRTY,
} from "@mmu-notifier/sdk";
import { createDevice, machineAsids } from "@mmu-notifier/sdk";
import { describe, expect, it } from "vitest";
import iommuBtm, { type IommuBtmOptions } from "../src/index.js";

function setUp(profile: string, options: Partial<IommuBtmOptions> = {}, arch = "arm64") {
  const bench = new Workbench({ profile, arch });
  const device = bench.device(iommuBtm, options);
  const executed: string[] = [];
  device.events.stream.subscribe((event) => {
    if (event.kind === "executed") executed.push(event.mnemonic.replace("CMD_", ""));
  });
  return { bench, device, executed, bind: () => device.bind(bench.mm) };
}

const decision = (profile: string, arch: string, options: Partial<IommuBtmOptions> = {}) =>
  setUp(profile, options, arch).bind().decision;

describe("iommu-btm, rule by rule", () => {
  it("B1: the CPU's broadcast flush removes the entry at its completion, without a callback", () => {
    const { bench, bind, device } = setUp("v6.12");
    bench.map(3, READ_ONLY);
    bench.map(4, READ_ONLY);
    const bound = bind();
    bench.access(bound, 3, "read");
    bench.access(bound, 4, "read");

    bench.run(bench.flushPage(3));

    expect(bound.binding.entries().map(({ vpn }) => vpn)).toEqual([4]);
    expect(device.costs.report()).toMatchObject({ callbacks: 0, commands: {} });
  });

  it("B1: a queued broadcast takes effect before the DSB completes, and the DSB waits for accesses under way", () => {
    const { bench, bind, device } = setUp("v6.12", { dvm: "queued" });
    bench.map(3, READ_ONLY);
    const bound = bind();
    bench.access(bound, 3, "read");
    const dev = bench.actor("dev", deviceAccess(bound, 3, "read")).until("device read");
    const cpu = bench.actor("cpu", bench.flushPage(3)).until("dsb ish");
    expect(cpu.blocked).toBe(true);

    const hardware = bench.actor("dvm", device.hardware[0]!.run());
    hardware.finish();
    expect(bound.binding.entries()).toEqual([]);
    expect(cpu.blocked).toBe(true);
    dev.finish();

    expect(cpu.blocked).toBe(false);
  });

  it("B2: without ATS nothing but release is subscribed: an unmap costs no callback and no command", () => {
    for (const profile of ["v6.4", "v6.12"]) {
      const { bench, bind, device } = setUp(profile);
      bench.map(3, READ_WRITE);
      const bound = bind();
      bench.access(bound, 3, "write", 1);

      bench.run(bench.unmap(3));

      expect(bound.binding.entries()).toEqual([]);
      expect(device.costs.report()).toMatchObject({ callbacks: 0, commands: {} });
    }
  });

  it("B3: with ATS the callback completes the IOTLB first where range_end makes it: fork's comes before the CPU's flush", () => {
    const { bench, bind, executed } = setUp("v6.4", { ats: true });
    bench.map(3, READ_WRITE);
    const bound = bind();
    bench.access(bound, 3, "write", 1);

    bench.run(bench.unmap(3));

    expect(executed).toEqual(["TLBI_NH_VA", "SYNC", "ATC_INV", "SYNC"]);
    expect(bound.binding.entries()).toEqual([]);
  });

  it("B3: where the hook runs between TLBI and DSB the driver completes the IOTLB itself before ATC_INV", () => {
    const { bench, bind, executed } = setUp("v6.12", { ats: true, dvm: "queued" });
    bench.map(3, READ_WRITE);
    const bound = bind();
    bench.access(bound, 3, "write", 1);
    const cpu = bench.actor("cpu", bench.unmap(3)).until("dsb ish");

    // The broadcast has not taken effect; the ATC cannot refill from the IOTLB all the same.
    expect(executed).toEqual(["TLBI_NH_VA", "SYNC", "ATC_INV", "SYNC"]);
    expect(bound.binding.entries()).toEqual([]);
    expect(cpu.blocked).toBe(true);
  });

  it("B4: filters upgrades exactly where the host's flush is broadcast and there is no ATS", () => {
    expect(decision("v6.4", "arm64").protectionUpgrade).toBe("filter");
    expect(decision("v6.12", "arm64").protectionUpgrade).toBe("filter");
    expect(decision("v7.3", "arm64")).toEqual({
      protectionUpgrade: "deliver",
      because: "the CPU's flush on upgrade (local) does not reach the IOTLB",
    });
    expect(decision("v6.12", "x86-64")).toEqual({
      protectionUpgrade: "deliver",
      because: "the CPU's flush on upgrade (none) does not reach the IOTLB",
    });
    expect(decision("v6.12", "x86-64", { hitPolicy: "rewalk-on-permission-fault" }).protectionUpgrade).toBe("filter");
  });

  it("B4: the check accepts each decision, and finds the contradiction in a filter that is forced", () => {
    for (const [profile, arch, ats] of [
      ["v6.4+upgrade-event", "arm64", false],
      ["v7.3", "arm64", false],
      ["v6.12", "arm64", true],
    ] as const) {
      const { bench, device } = setUp(profile, { ats }, arch);
      expect(checkDeclaration(iommuBtm, hostFacts(bench.k), device.options)).toEqual([]);
    }
    const { bench, device } = setUp("v7.3", { protectionUpgrade: "filter" });
    expect(checkDeclaration(iommuBtm, hostFacts(bench.k), device.options)).toMatchObject([
      { verdict: "CONTRACT", event: "MMU_NOTIFY_PROTECTION_UPGRADE" },
    ]);
  });

  it("B5: with ATS an upgrade is an ATC_INV, also where the broadcast reaches the IOTLB", () => {
    const { bench, bind, executed } = setUp("v6.4+upgrade-event", { ats: true });
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");

    bench.run(bench.upgrade(3));

    expect(executed).toEqual(["TLBI_NH_VA", "SYNC", "ATC_INV", "SYNC"]);
    expect(bench.access(bound, 3, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 0 });
  });

  it("B6: a silent hardware upgrade is a livelock, unless spurious faults invalidate", () => {
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

  it("B7: the CPU's ASID is pinned from bind to unbind", () => {
    const bench = new Workbench();
    const asids = machineAsids(bench.k);
    const device = createDevice(bench.k, iommuBtm, { name: "dev0", faults: () => bench.faults(), asids });
    const bound = device.bind(bench.mm);
    expect(asids.isPinned(bench.mm)).toBe(true);

    bench.run(bound.binding.unbind());

    expect(asids.isPinned(bench.mm)).toBe(false);
  });

  it("B7: a private descriptor that has the number of a pinned ASID moves first, and its entries are dropped", () => {
    const bench = new Workbench();
    // Ids of 2 bits and one CPU: one can be pinned. The second binding falls back to a private number, which the third then wants.
    const asids = machineAsids(bench.k, 2);
    const device = createDevice(bench.k, iommuBtm, { name: "dev0", faults: () => bench.faults(), asids });
    const second = bench.addMm();
    const third = bench.addMm();
    bench.map(3, READ_ONLY, undefined, second);
    const first = device.bind(bench.mm);
    const fallback = device.bind(second);
    bench.access(fallback, 3, "read");
    bench.run(first.binding.unbind());
    const cached = () => fallback.binding.entries().length;
    expect(cached()).toBe(1);

    const before = device.shared.descriptors[1]!.asid;
    bench.k.mms.segment.i32[third * bench.k.mms.segment.stride + ASID_WORD] = before;
    device.costs.reset();
    const pinned = device.bind(third);
    expect(device.costs.report()).toMatchObject({
      syncs: 2,
      commands: { CMD_CFGI_CD: 1, CMD_TLBI_NH_ASID: 1, CMD_SYNC: 2 },
    });

    expect(device.shared.descriptors[1]!.asid).not.toBe(before);
    // Nothing of the second address space goes by the number that is the third's now.
    expect(pinned.binding.entries()).toEqual([]);
    expect(cached()).toBe(0);
    bench.access(fallback, 3, "read");
    expect(cached()).toBe(1);
  });

  it("B7: a private descriptor with another number stays where it is", () => {
    const bench = new Workbench();
    const asids = machineAsids(bench.k, 2);
    const device = createDevice(bench.k, iommuBtm, { name: "dev0", faults: () => bench.faults(), asids });
    const [second, third] = [bench.addMm(), bench.addMm()];
    bench.map(3, READ_ONLY, undefined, second);
    const first = device.bind(bench.mm);
    const fallback = device.bind(second);
    bench.access(fallback, 3, "read");
    bench.run(first.binding.unbind());
    const { asid } = device.shared.descriptors[1]!;
    bench.k.mms.segment.i32[third * bench.k.mms.segment.stride + ASID_WORD] = asid + 1;

    device.bind(third);

    expect(device.shared.descriptors[1]!.asid).toBe(asid);
    expect(fallback.binding.entries()).toHaveLength(1);
  });

  it("shows the upper levels that its walk cache holds", () => {
    const { bench, bind } = setUp("v6.12", { walkCacheEntries: 2 });
    bench.map(3, READ_WRITE);
    const bound = bind();
    bench.access(bound, 3, "read");

    expect(bound.binding.tables?.().map(({ vpn, pages }) => [vpn, pages])).toEqual([[0, 4]]);
  });

  it("B8: when nothing can be pinned a binding falls back to a private ASID, and then delivers upgrades", () => {
    const bench = new Workbench({ profile: "v6.12" });
    const device = createDevice(bench.k, iommuBtm, {
      name: "dev0",
      faults: () => bench.faults(),
      asids: machineAsids(bench.k, 1),
    });
    bench.map(3, WRITABLE_CLEAN);
    const bound = device.bind(bench.mm);

    expect(bound.decision).toEqual({
      protectionUpgrade: "deliver",
      because: "no CPU address-space id could be pinned: broadcasts do not match the private one",
    });
    bench.access(bound, 3, "read");
    expect(bench.access(bound, 3, "write", 7).outcome).toEqual({ kind: "value", value: 7 });
    expect(device.costs.commands("CMD_TLBI_NH_VA")).toBe(1);
  });

  it("B8: without the fallback the bind fails and says what to do", () => {
    const bench = new Workbench();
    const device = createDevice(bench.k, iommuBtm, {
      name: "dev0",
      options: { fallbackToPrivateAsid: false },
      faults: () => bench.faults(),
      asids: machineAsids(bench.k, 1),
    });

    expect(() => device.bind(bench.mm)).toThrow(/Unbind another address space, or set fallbackToPrivateAsid/);
  });

  it("B9: CPU activity of the same mm evicts more than needed: refills are counted, nothing is an error", () => {
    const { bench, bind, device } = setUp("v6.12");
    bench.map(3, READ_ONLY);
    const bound = bind();
    bench.access(bound, 3, "read");

    bench.run(bench.flushMm());
    bench.access(bound, 3, "read");

    expect(device.costs.report()).toMatchObject({ needlessEvictions: 1, refills: 1, faults: 0 });
  });

  it("B10: where the host's flushes are not broadcast, the binding does its own TLBI", () => {
    const { bench, bind, executed } = setUp("v6.12", {}, "x86-64");
    bench.map(3, READ_WRITE);
    const bound = bind();
    bench.access(bound, 3, "write", 1);

    bench.run(bench.unmap(3));

    expect(executed).toEqual(["TLBI_NH_VA", "SYNC"]);
    expect(bound.binding.entries()).toEqual([]);
  });

  it("B11: release uses commands of its own: no broadcast may ever come", () => {
    const { bench, bind, executed } = setUp("v6.12", { ats: true });
    bench.map(3, READ_WRITE);
    const bound = bind();
    bench.access(bound, 3, "read");

    bench.run(bench.k.bus.release(bench.mm));

    expect(executed).toEqual(["CFGI_CD", "SYNC", "TLBI_NH_ASID", "SYNC", "ATC_INV", "SYNC"]);
    expect(bound.binding.entries()).toEqual([]);
    expect(bench.access(bound, 3, "read").outcome.kind).toBe("abort");
  });

  it("B12: without ATS an invalidation costs no command", () => {
    const { bench, bind, device } = setUp("v6.12");
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");

    bench.access(bound, 3, "write", 7);
    bench.run(bench.unmap(3));

    expect(device.costs.report()).toMatchObject({ callbacks: 0, syncs: 0, commands: { CMD_RESUME: 1 } });
  });
});

/** Word of the ASID in a row of core's table of mms. */
const ASID_WORD = 7;

describe("the four wrong filters", () => {
  const livelocks = (profile: string, options: Partial<IommuBtmOptions>, asidBits = 16) => {
    const bench = new Workbench({ profile });
    const device = createDevice(bench.k, iommuBtm, {
      name: "dev0",
      options,
      faults: () => bench.faults(),
      asids: machineAsids(bench.k, asidBits),
    });
    bench.map(3, WRITABLE_CLEAN);
    const bound = device.bind(bench.mm);
    bench.access(bound, 3, "read");
    return bench.access(bound, 3, "write", 7).outcome.kind === "livelock";
  };

  it("(a) an ATC that nobody invalidates on upgrade livelocks", () => {
    expect(livelocks("v6.4", { ats: true })).toBe(true);
    expect(livelocks("v6.4+upgrade-event", { ats: true })).toBe(false);
  });

  it("(b) X12: local-only upgrades livelock when filtered, and not otherwise", () => {
    expect(livelocks("v7.3", { protectionUpgrade: "filter" })).toBe(true);
    expect(livelocks("v7.3", {})).toBe(false);
  });

  it("(c) a fallback binding with a filter livelocks", () => {
    expect(livelocks("v6.4", {}, 1)).toBe(true);
    expect(livelocks("v6.4+upgrade-event", {}, 1)).toBe(false);
  });

  it("(d) a host that flushes by interrupt leaves stale entries to a driver that trusts broadcasts", () => {
    const { bench, bind } = setUp("v6.12", {}, "x86-64");
    bench.map(3, READ_WRITE);
    const bound = bind();
    bench.access(bound, 3, "write", 1);
    bound.binding.connection?.unsubscribe();

    bench.run(bench.unmap(3));

    expect(bound.binding.entries()).toHaveLength(1);
  });
});

describe("interleavings", () => {
  it("X1, X2: the broadcast is enough on arm64, whoever causes the upgrade", () => {
    for (const profile of ["v6.4", "v6.4+upgrade-event", "v6.12"]) {
      const { bench, bind } = setUp(profile);
      bench.map(3, WRITABLE_CLEAN);
      bench.map(4, WRITABLE_CLEAN);
      const bound = bind();
      bench.access(bound, 3, "read");
      bench.access(bound, 4, "read");

      bench.run(bench.upgrade(3));

      expect(bench.access(bound, 3, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 0 });
      expect(bench.access(bound, 4, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 1 });
    }
  });

  it("X4: a downgrade is broadcast, with ATS it is an ATC_INV", () => {
    for (const ats of [false, true]) {
      const { bench, bind } = setUp("v6.12", { ats });
      bench.map(3, READ_WRITE);
      const bound = bind();
      bench.access(bound, 3, "write", 1);

      bench.run(bench.downgrade(3));

      expect(bound.binding.entries().filter(({ write }) => write)).toEqual([]);
    }
  });

  it("X6: a broadcast kills the walk that it overtakes", () => {
    const { bench, bind } = setUp("v6.12");
    bench.map(3, READ_WRITE);
    const bound = bind();
    const dev = bench.actor("dev", deviceAccess(bound, 3, "write", 7)).until("walk-insert");

    bench.run(bench.flushPage(3));
    dev.step();

    expect(bound.binding.entries()).toEqual([]);
    expect(dev.at).toBe("hit policy");
  });

  it("X11 with ATS: 2 MiB are one aligned span", () => {
    const { bench, bind, device } = setUp("v6.4", { ats: true });
    bind();
    const spans: number[] = [];
    device.events.stream.subscribe((event) => {
      if (event.kind === "command" && event.mnemonic === "CMD_ATC_INV") spans.push(event.start, event.pages);
    });

    bench.run(bench.k.bus.invalidateRange(bench.mm, 512 * PAGE_SIZE, 1024 * PAGE_SIZE));

    expect(spans).toEqual([512, 512]);
  });
});
