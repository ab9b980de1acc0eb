import { Workbench } from "@mmu-notifier/sdk";
import { describe, expect, it } from "vitest";
import kvm, { type KvmOptions } from "../src/index.js";

const AT = 0x100;

function setUp(profile: string, sharing: "private" | "shared", options: Partial<KvmOptions> = {}) {
  const bench = new Workbench({ profile, geometry: "four-level" });
  const device = bench.device(kvm, options, () => bench.kernelFaults());
  const bound = device.bind(bench.mm);
  bench.mmap(AT, 4, sharing);
  const access = (vpn: number, kind: "read" | "write", value = 0) => bench.access(bound, vpn, kind, value);
  return { bench, bound, device, access };
}

describe("on the fault paths of the kernel", () => {
  it("reads the zero page and writes into a copy; the zap of its own copy-on-write makes it retry once", () => {
    const { access, device } = setUp("v6.4", "private");

    expect(access(AT, "read")).toMatchObject({ outcome: { kind: "value", value: 0 }, faults: 1 });
    expect(access(AT, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 2 });
    expect(device.costs.of("selfRetries")).toBe(1);
    expect(access(AT, "read")).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 0 });
  });

  it("needs no event for a shared page that a read fault mapped, in any kernel", () => {
    for (const profile of ["v6.4", "v6.4+upgrade-event", "v6.12", "v7.3"]) {
      const { access } = setUp(profile, "shared");
      access(AT, "read");

      expect(access(AT, "write", 7).outcome).toEqual({ kind: "value", value: 7 });
    }
  });

  it("keeps no translation after munmap", () => {
    const { bench, bound, access } = setUp("v6.12", "private");
    access(AT, "write", 7);

    bench.munmap(AT, 4);

    expect(bound.binding.entries()).toEqual([]);
    expect(access(AT, "read").outcome.kind).toBe("abort");
  });
});
