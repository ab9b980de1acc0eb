import { createDevice, hostFacts, machineAsids, READ_WRITE, Workbench, WRITABLE_CLEAN } from "@mmu-notifier/sdk";
import { describe, expect, it } from "vitest";
import iommuBtm from "../src/index.js";

const PROFILES = ["v5.10", "v6.1", "v6.4", "v6.4+upgrade-event-fixed", "v6.12", "v6.18", "v7.3"];
const HOSTS = PROFILES.flatMap((profile) =>
  ["arm64", "x86-64"].flatMap((arch) =>
    [false, true].flatMap((ats) => [true, false].map((shared) => ({ profile, arch, ats, shared }))),
  ),
);

describe.each(HOSTS)("a binding on $profile, $arch, ATS $ats, with the CPU's ASID $shared", (host) => {
  function setUp() {
    const { profile, arch, ats, shared } = host;
    const bench = new Workbench({ profile, arch });
    const device = createDevice(bench.k, iommuBtm, {
      name: "dev0",
      options: { ats },
      faults: () => bench.faults(),
      // Of one bit, none is left to pin.
      asids: machineAsids(bench.k, shared ? 16 : 1),
    });
    return { bench, device, bound: device.bind(bench.mm), facts: hostFacts(bench.k) };
  }

  it("holds nothing of a page that is gone, and sends a command only where no broadcast comes or hits in an ATC are served from behind", () => {
    const { bench, bound, device, facts } = setUp();
    bench.map(3, READ_WRITE);
    bench.map(4, READ_WRITE);
    bench.access(bound, 3, "write", 1);
    bench.access(bound, 4, "write", 1);

    bench.run(bench.unmap(3));

    const pages = bound.binding.entries().map(({ vpn }) => vpn);
    expect(pages).not.toContain(3);
    expect(pages).toContain(4);
    const heard = host.shared && facts.broadcast("ordinary") === "inner-shareable";
    const upgrades = host.shared && facts.broadcast("upgrade") === "inner-shareable";
    if (!host.ats && heard && upgrades) expect(device.costs.commands()).toBe(0);
    expect(device.costs.commands("CMD_ATC_INV") > 0).toBe(host.ats);
  });

  it("lets a write through after an upgrade that a broadcast or the host told of", () => {
    const { bench, bound, facts } = setUp();
    bench.map(3, WRITABLE_CLEAN);
    bench.access(bound, 3, "read");
    // x86's hardware writes through a clean entry.
    const already = bound.binding.entries().every(({ write }) => write);

    bench.run(bench.upgrade(3));

    const told = facts.hookOnUpgrade || (facts.upgradeEvent && facts.hookFromRangeEnd);
    const reached = host.shared && !host.ats && facts.broadcast("upgrade") === "inner-shareable";
    const { outcome } = bench.access(bound, 3, "write", 7);
    expect(outcome).toEqual(already || told || reached ? { kind: "value", value: 7 } : { kind: "livelock" });
  });

  it("gives its ASID back when it is unbound, and the descriptor is of no use then", () => {
    const { bench, bound, device } = setUp();
    const [first] = device.shared.descriptors;
    const before = first!.asid;
    bench.run(bound.binding.unbind());

    expect(bench.access(bound, 3, "read").outcome).toEqual({ kind: "abort", fault: "C_BAD_CD" });
    device.bind(bench.addMm());
    // A pinned number is the address space's own.
    if (!host.shared) expect(device.shared.descriptors.at(-1)!.asid).toBe(before);
  });
});
