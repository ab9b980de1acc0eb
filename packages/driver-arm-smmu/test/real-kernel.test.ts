import { Workbench } from "@mmu-notifier/sdk";
import { describe, expect, it } from "vitest";
import armSmmu from "../src/index.js";

const AT = 0x100;

function setUp(profile: string, sharing: "private" | "shared") {
  const bench = new Workbench({ profile, geometry: "four-level" });
  const bound = bench.device(armSmmu, {}, () => bench.kernelFaults()).bind(bench.mm);
  bench.mmap(AT, 4, sharing);
  const access = (vpn: number, kind: "read" | "write", value = 0) => bench.access(bound, vpn, kind, value);
  return { bench, bound, access };
}

describe("on the fault paths of the kernel", () => {
  it("reads the zero page, writes into a copy, and faults once for each", () => {
    const { access } = setUp("v6.12", "private");

    expect(access(AT, "read")).toMatchObject({ outcome: { kind: "value", value: 0 }, faults: 1 });
    expect(access(AT, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 1 });
    expect(access(AT, "read")).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 0 });
  });

  it("upgrades a shared page that a read fault mapped: one fault with the event or mainline's hook, a livelock before", () => {
    for (const [profile, outcome] of [
      ["v6.4", { kind: "livelock" }],
      ["v6.4+upgrade-event", { kind: "value", value: 7 }],
      ["v6.12", { kind: "value", value: 7 }],
    ] as const) {
      const { access } = setUp(profile, "shared");
      access(AT, "read");

      expect(access(AT, "write", 7).outcome).toEqual(outcome);
    }
  });

  it("keeps no translation after munmap", () => {
    for (const profile of ["v6.4", "v6.12"]) {
      const { bench, bound, access } = setUp(profile, "private");
      access(AT, "write", 7);
      expect(bound.binding.entries()).toHaveLength(1);

      bench.munmap(AT, 1);

      expect(bound.binding.entries()).toEqual([]);
      expect(access(AT, "read").outcome).toEqual({ kind: "abort", fault: "F_TRANSLATION" });
    }
  });

  it("aborts where there is no mapping", () => {
    const { access } = setUp("v6.12", "private");

    expect(access(AT + 4, "read").outcome).toEqual({ kind: "abort", fault: "F_TRANSLATION" });
  });
});
