import {
  checkDeclaration,
  deviceAccess,
  type DeviceEvent,
  hostFacts,
  mayFilterUpgrade,
  PAGE_SIZE,
  READ_ONLY,
  READ_WRITE,
  Workbench,
  WRITABLE_CLEAN,
  PTE_AF,
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
  const executed: string[] = [];
  const events: DeviceEvent[] = [];
  device.events.stream.subscribe((event) => {
    events.push(event);
    if (event.kind === "executed") executed.push(event.mnemonic.replace("CMD_", ""));
  });
  const bind = () => device.bind(bench.mm);
  return { bench, device, executed, events, bind };
}

/** Tells the devices about pages [vpn, vpn + pages) the way this kernel's flush or range_end does. */
function notify(bench: Workbench, vpn: number, pages: number): void {
  bench.run(bench.k.bus.invalidateRange(bench.mm, vpn * PAGE_SIZE, (vpn + pages) * PAGE_SIZE));
}

describe("arm-smmu, rule by rule", () => {
  it("A1: joins with the event-less hook and release, in the seed's generation and in mainline's, without start and end", () => {
    for (const profile of ["v6.4", "v6.12"]) {
      const { bench, bind, executed } = setUp(profile);
      bench.map(3, READ_ONLY);
      const bound = bind();
      bench.access(bound, 3, "read");

      bench.run(bench.unmap(3));

      expect(executed.filter((c) => c.startsWith("TLBI"))).toEqual(["TLBI_NH_VA"]);
      bench.run(bench.k.bus.release(bench.mm));
      expect(executed).toContain("TLBI_NH_ASID");
    }
  });

  it("A2: the upgrade event reaches it through range_end's call of the hook, and as an experiment through end", () => {
    const range = { event: "MMU_NOTIFY_PROTECTION_UPGRADE" as const, start: 3 * PAGE_SIZE, end: 4 * PAGE_SIZE };
    for (const options of [{}, { experimentalStartEnd: true }]) {
      const { bench, bind, executed } = setUp("v6.4+upgrade-event", options);
      bind();
      const mine = { ...range, mm: bench.mm };

      bench.run(bench.k.bus.invalidateRangeStart(mine));
      expect(executed).toEqual([]);
      bench.run(bench.k.bus.invalidateRangeEnd(mine));

      expect(executed).toEqual(["TLBI_NH_VA", "SYNC"]);
    }
  });

  it("A2: an experimental filter ignores its event and still acts on the others", () => {
    const { bench, bind, executed } = setUp("v6.4+upgrade-event", {
      experimentalFilter: ["MMU_NOTIFY_PROTECTION_UPGRADE"],
    });
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");

    bench.run(bench.upgrade(3));
    expect(executed).toEqual([]);
    bench.run(bench.unmap(3));

    expect(executed).toEqual(["TLBI_NH_VA", "SYNC"]);
  });

  it("A3: works under the page-table lock with preemption off, because it spins", () => {
    const { bench, bind } = setUp("v6.4");
    bench.map(3, READ_ONLY);
    const bound = bind();
    bench.access(bound, 3, "read");

    // The hook of the bus runs with preemption off: anything that sleeps throws SLEEP_IN_ATOMIC.
    expect(() => notify(bench, 3, 1)).not.toThrow();
    expect(bound.binding.entries()).toEqual([]);
  });

  it("A4: one page is TLBI by VA and SYNC; the whole mm, and 512 pages without RIL, TLBI by ASID", () => {
    const { bench, bind, executed } = setUp("v6.12", {}, "arm64", "four-level");
    bind();
    const during = (act: () => void) => {
      executed.length = 0;
      act();
      return [...executed];
    };

    expect(during(() => notify(bench, 3, 1))).toEqual(["TLBI_NH_VA", "SYNC"]);
    expect(during(() => notify(bench, 0, 512))).toEqual(["TLBI_NH_ASID", "SYNC"]);
    expect(during(() => bench.run(bench.k.bus.invalidateRange(bench.mm, 0, 2 ** 64)))).toEqual([
      "TLBI_NH_ASID",
      "SYNC",
    ]);
    expect(during(() => notify(bench, 0, 511)).filter((c) => c === "TLBI_NH_VA")).toHaveLength(511);
  });

  it("A4: with ATS each master gets one ATC_INV with one aligned span, and a second SYNC follows", () => {
    const { bench, bind, events, executed } = setUp("v6.12", { ats: true, streams: 2 });
    bind();

    notify(bench, 7, 2);

    expect(executed).toEqual(["TLBI_NH_VA", "TLBI_NH_VA", "SYNC", "ATC_INV", "ATC_INV", "SYNC"]);
    expect(events.filter((e) => e.kind === "command" && e.mnemonic === "CMD_ATC_INV")).toMatchObject([
      { asid: 0, start: 0, pages: 16 },
      { asid: 1, start: 0, pages: 16 },
    ]);
  });

  it("A5: every TLBI is executed, and its SYNC complete, before the first ATC_INV is even queued", () => {
    const { bench, bind, events } = setUp("v6.12", { ats: true });
    bind();

    notify(bench, 3, 1);

    const order = events
      .filter((e) => e.kind === "command" || e.kind === "executed")
      .map((e) => `${e.kind} ${e.mnemonic}`);
    expect(order.indexOf("executed CMD_SYNC")).toBeLessThan(order.indexOf("command CMD_ATC_INV"));
  });

  it("A6: delivers upgrades, and the check finds a CONTRACT violation when it is told to filter them", () => {
    const { bench, device } = setUp("v6.4+upgrade-event");
    const host = hostFacts(bench.k);

    expect(device.bind(bench.mm).decision.protectionUpgrade).toBe("deliver");
    expect(checkDeclaration(armSmmu, host, device.options)).toEqual([]);
    expect(
      checkDeclaration(armSmmu, host, { ...device.options, experimentalFilter: ["MMU_NOTIFY_PROTECTION_UPGRADE"] }),
    ).toMatchObject([{ verdict: "CONTRACT", driver: "arm-smmu", event: "MMU_NOTIFY_PROTECTION_UPGRADE" }]);
    expect(mayFilterUpgrade(device.bound[0]!.declarations, host)).toBeUndefined();
  });

  it("A6: filtering upgrades is a livelock of the access, but no access through a stale frame or right", () => {
    const { bench, bind } = setUp("v6.4+upgrade-event", { experimentalFilter: ["MMU_NOTIFY_PROTECTION_UPGRADE"] });
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");

    expect(bench.access(bound, 3, "write", 7).outcome).toEqual({ kind: "livelock" });
    bench.run(bench.unmap(3));

    expect(bound.binding.entries()).toEqual([]);
  });

  it("A7: on an upgrade it only removes: no entry is there afterwards", () => {
    const { bench, bind } = setUp("v6.4+upgrade-event");
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");

    bench.run(bench.upgrade(3));

    expect(bound.binding.entries()).toEqual([]);
  });

  it("A8: an entry comes from a walk, with the rights that the walk read", () => {
    const { bench, bind } = setUp("v6.12");
    const pfn = bench.map(3, READ_ONLY);
    const bound = bind();

    expect(bound.binding.entries()).toEqual([]);
    bench.access(bound, 3, "read");

    expect(bound.binding.entries()).toEqual([{ where: "iotlb", vpn: 3, pages: 1, pfn, read: true, write: false }]);
  });

  it("A9: a walk that a TLBI overtook does not insert, and the access starts again", () => {
    const { bench, bind } = setUp("v6.12");
    bench.map(3, READ_WRITE);
    const bound = bind();
    const dev = bench.actor("dev", deviceAccess(bound, 3, "read")).until("walk-insert");

    bench.run(bench.unmap(3));

    expect(dev.at).toBe("walk-insert");
    dev.step();
    expect(bound.binding.entries()).toEqual([]);
    expect(bound.context.costs.of("killedWalks")).toBe(1);
    expect(dev.at).toBe("hit policy");
  });

  it("A9: SYNC waits for an access that uses what was dropped", () => {
    const { bench, bind } = setUp("v6.12");
    bench.map(3, READ_WRITE);
    const bound = bind();
    const dev = bench.actor("dev", deviceAccess(bound, 3, "read")).until("device read");
    const cpu = bench
      .actor("cpu", bench.k.bus.invalidateRange(bench.mm, 3 * PAGE_SIZE, 4 * PAGE_SIZE))
      .until("CMD_SYNC: wait");
    cpu.step();

    expect(cpu.blocked).toBe(true);
    dev.finish();
    expect(cpu.blocked).toBe(false);
    cpu.finish();
  });

  it("A9: shows the upper levels that its walk cache holds, and an invalidation drops them", () => {
    const { bench, bind } = setUp("v6.12", { walkCacheEntries: 2 });
    bench.map(3, READ_WRITE);
    const bound = bind();
    bench.access(bound, 3, "read");
    expect(bound.binding.tables?.().map(({ vpn, pages }) => [vpn, pages])).toEqual([[0, 4]]);

    bench.run(bench.unmap(3));

    expect(bound.binding.tables?.()).toEqual([]);
  });

  it("A10: is live under fault-from-tlb where the kernel notifies, and under every policy", () => {
    for (const hitPolicy of [
      "fault-from-tlb",
      "rewalk-on-permission-fault",
      "drop-and-fault",
      "nondeterministic",
    ] as const) {
      const { bench, bind } = setUp("v6.12", { hitPolicy });
      bench.map(3, WRITABLE_CLEAN);
      const bound = bind();
      bench.access(bound, 3, "read");

      expect(bench.access(bound, 3, "write", 7).outcome).toEqual({ kind: "value", value: 7 });
    }
  });

  it("A10: without notification fault-from-tlb livelocks, the policies that look again do not", () => {
    const outcome = (hitPolicy: ArmSmmuOptions["hitPolicy"]) => {
      const { bench, bind } = setUp("v6.4", { hitPolicy });
      bench.map(3, WRITABLE_CLEAN);
      const bound = bind();
      bench.access(bound, 3, "read");
      return bench.access(bound, 3, "write", 7).outcome.kind;
    };

    expect(outcome("fault-from-tlb")).toBe("livelock");
    expect(outcome("nondeterministic")).toBe("livelock");
    expect(outcome("rewalk-on-permission-fault")).toBe("value");
    expect(outcome("drop-and-fault")).toBe("value");
  });

  it("A11: AF = 0 is F_ACCESS, none is F_TRANSLATION, neither is cached, and none to present needs no invalidation", () => {
    const { bench, bind, events } = setUp("v6.12", { stall: false });
    bench.map(3, READ_ONLY & ~PTE_AF);
    const bound = bind();

    expect(bench.access(bound, 3, "read").outcome).toEqual({ kind: "abort", fault: "F_ACCESS" });
    expect(bench.access(bound, 5, "read").outcome).toEqual({ kind: "abort", fault: "F_TRANSLATION" });
    expect(events.some((e) => e.kind === "insert")).toBe(false);
    bench.map(5, READ_ONLY);

    expect(bench.access(bound, 5, "read").outcome).toEqual({ kind: "value", value: 0 });
  });

  it("A12: stalls with one stream, aborts with several or without stalling, and asks its own driver with ATS", () => {
    const name = (options: Partial<ArmSmmuOptions>) => setUp("v6.12", options).bind().binding.fault.name;

    expect(name({})).toBe("stall");
    expect(name({ streams: 2 })).toBe("abort");
    expect(name({ stall: false })).toBe("abort");
    expect(name({ ats: true })).toBe("software");
  });

  it("A12: a fault that the host calls invalid ends the transaction by RESUME(ABORT)", () => {
    const { bench, bind, events } = setUp("v6.12");
    const bound = bind();

    expect(bench.access(bound, 5, "write").outcome).toEqual({ kind: "abort", fault: "F_TRANSLATION" });
    expect(events.find((e) => e.kind === "response")).toMatchObject({ response: "ABORT", vpn: 5 });
  });

  it("A12: with ATS the refusal is no fault record of the SMMU: the completion has W = 0", () => {
    const { bench, bind } = setUp("v6.4", { ats: true });
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");

    const { outcome, cycle } = bench.access(bound, 3, "write");

    expect(outcome).toEqual({ kind: "livelock" });
    expect(cycle).toContain("device fault interrupt");
    expect(cycle.join()).not.toContain("stall");
  });

  it("A13: after RESUME(RETRY) the TLB is looked up first", () => {
    const { bench, bind } = setUp("v6.4");
    bench.map(3, WRITABLE_CLEAN);
    const bound = bind();
    bench.access(bound, 3, "read");

    const dev = bench.actor("dev", deviceAccess(bound, 3, "write")).until("CMD_RESUME: wait");
    dev.step();
    dev.step();

    expect(dev.at).toBe("iotlb lookup");
    expect(dev.until("stall").at).toBe("F_PERMISSION, stall");
  });

  it("A14: release quiesces the descriptor, then drops everything; later accesses abort; a second time does nothing", () => {
    const { bench, bind, executed } = setUp("v6.12", { ats: true });
    bench.map(3, READ_WRITE);
    const bound = bind();
    bench.access(bound, 3, "read");

    bench.run(bench.k.bus.release(bench.mm));

    expect(executed).toEqual(["CFGI_CD", "SYNC", "TLBI_NH_ASID", "SYNC", "ATC_INV", "SYNC"]);
    expect(bound.binding.entries()).toEqual([]);
    executed.length = 0;
    bench.run(bound.binding.unbind());
    expect(executed).toEqual([]);
  });

  it("A14: a walk after release is a translation fault although the descriptor stays valid", () => {
    const { bench, bind } = setUp("v6.12", { stall: false });
    bench.map(3, READ_WRITE);
    const bound = bind();

    bench.run(bench.k.bus.release(bench.mm));

    expect(bench.access(bound, 3, "read").outcome).toEqual({ kind: "abort", fault: "F_TRANSLATION" });
  });

  it("A15: the ASID goes back to the pool only after TLBI and SYNC, and a late callback is harmless", () => {
    const { bench, device, executed } = setUp("v6.12");
    const first = device.bind(bench.mm);
    const unbind = bench.actor("unbind", first.binding.unbind());
    unbind.until("asid: free");
    expect(executed).toEqual(["CFGI_CD", "SYNC", "TLBI_NH_ASID", "SYNC"]);
    const { asid } = device.shared.descriptors[0]!;
    unbind.finish();
    expect(bench.access(first, 3, "read").outcome).toEqual({ kind: "abort", fault: "C_BAD_CD" });

    const other = bench.addMm();
    bench.map(3, READ_ONLY, undefined, other);
    const second = device.bind(other);
    expect(device.shared.descriptors[1]!.asid).toBe(asid);
    bench.access(second, 3, "read");
    notify(bench, 3, 1);

    expect(bench.access(second, 3, "read").outcome).toEqual({ kind: "value", value: 0 });
  });

  it("A16: a full queue spins until there is room and loses nothing", () => {
    const { bench, device, executed } = setUp(
      "v6.12",
      { queueDepth: 65, queueConsumer: "hardware" },
      "arm64",
      "four-level",
    );
    device.bind(bench.mm);
    device.start(bench.k.scheduler);

    notify(bench, 0, 200);

    expect(executed.filter((c) => c === "TLBI_NH_VA")).toHaveLength(200);
  });

  it("A17: the descriptor is installed before the subscription exists: no walk comes before its notifications", () => {
    const { bench, bind } = setUp("v6.12");
    bench.map(3, READ_WRITE);
    expect(bench.k.bus.hasNotifiers(bench.mm)).toBe(false);
    const bound = bind();
    expect(bench.k.bus.hasNotifiers(bench.mm)).toBe(true);

    bench.access(bound, 3, "read");
    bench.run(bench.unmap(3));

    expect(bound.binding.entries()).toEqual([]);
  });

  it("A18: one page costs a TLBI and a SYNC; with ATS an ATC_INV for each stream and a SYNC more", () => {
    const cost = (options: Partial<ArmSmmuOptions>) => {
      const { bench, bind, device } = setUp("v6.12", options);
      bind();
      notify(bench, 3, 1);
      return device.costs.report().commands;
    };

    expect(cost({})).toEqual({ CMD_TLBI_NH_VA: 1, CMD_SYNC: 1 });
    expect(cost({ ats: true, streams: 3 })).toEqual({ CMD_TLBI_NH_VA: 1, CMD_ATC_INV: 3, CMD_SYNC: 2 });
  });

  it("A18: an ASID-wide invalidation evicts what nobody asked for; the refills are counted", () => {
    const { bench, bind, device } = setUp("v6.12", {}, "arm64", "four-level");
    bench.map(1000, READ_ONLY);
    const bound = bind();
    bench.access(bound, 1000, "read");

    notify(bench, 0, 512);
    bench.access(bound, 1000, "read");

    expect(device.costs.report()).toMatchObject({ evictions: 1, needlessEvictions: 1, refills: 1 });
  });

  it("A18: in the seed's scheme a first write costs an invalidation even when no device ever cached the page", () => {
    const { bench, bind, device } = setUp("v6.4+upgrade-event");
    bench.map(3, WRITABLE_CLEAN);
    bind();

    bench.run(bench.upgrade(3));

    expect(device.costs.report()).toMatchObject({
      callbacks: 1,
      evictions: 0,
      commands: { CMD_TLBI_NH_VA: 1, CMD_SYNC: 1 },
    });
  });

  it("A19: the threshold is inclusive: 2 MiB without RIL is an ASID flush, with RIL one command", () => {
    const commands = (ril: boolean) => {
      const { bench, bind, device } = setUp("v6.12", { ril }, "arm64", "four-level");
      bind();
      notify(bench, 512, 512);
      return device.costs.report().commands;
    };

    expect(commands(false)).toEqual({ CMD_TLBI_NH_ASID: 1, CMD_SYNC: 1 });
    expect(commands(true)).toEqual({ CMD_TLBI_NH_VA: 1, CMD_SYNC: 1 });
  });
});
