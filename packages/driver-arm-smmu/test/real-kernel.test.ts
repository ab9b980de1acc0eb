import {
  architecture,
  createMm,
  Kernel,
  kernelProfile,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  sysMmap,
  sysMunmap,
} from "@mmu-notifier/core";
import { accessUntilResolved, createDevice, faultServices } from "@mmu-notifier/sdk";
import { Memory } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";
import armSmmu from "../src/index.js";

const AT = 0x100;

function machine(profile: string, flags: number) {
  const memory = new Memory();
  const k = new Kernel({ memory, profile: kernelProfile(profile), arch: architecture("arm64") });
  const mm = createMm(k);
  const t = { cpu: 0, mm };
  const device = createDevice(k, armSmmu, { name: "smmu0", faults: (of) => faultServices(k, of) });
  const bound = device.bind(mm);
  const result = k.scheduler.run(
    sysMmap(k, t, {
      address: AT * PAGE_SIZE,
      length: 4 * PAGE_SIZE,
      prot: PROT_READ | PROT_WRITE,
      flags: MAP_FIXED | MAP_ANONYMOUS | flags,
    }),
  );
  expect(result).toBe(AT * PAGE_SIZE);
  const access = (vpn: number, kind: "read" | "write", value = 0) =>
    accessUntilResolved({ memory, scheduler: k.scheduler }, bound, vpn, kind, value);
  return { k, t, device, bound, access };
}

describe("on the fault paths of the kernel", () => {
  it("reads the zero page, writes into a copy, and faults once for each", () => {
    const { access } = machine("v6.12", MAP_PRIVATE);

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
      const { access } = machine(profile, MAP_SHARED);
      access(AT, "read");

      expect(access(AT, "write", 7).outcome).toEqual(outcome);
    }
  });

  it("keeps no translation after munmap", () => {
    for (const profile of ["v6.4", "v6.12"]) {
      const { k, t, bound, access } = machine(profile, MAP_PRIVATE);
      access(AT, "write", 7);
      expect(bound.binding.entries()).toHaveLength(1);

      k.scheduler.run(sysMunmap(k, t, AT * PAGE_SIZE, PAGE_SIZE));

      expect(bound.binding.entries()).toEqual([]);
      expect(access(AT, "read").outcome).toEqual({ kind: "abort", fault: "F_TRANSLATION" });
    }
  });
});
