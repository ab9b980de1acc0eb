import { architecture, architectures, Kernel, kernelProfile, kernelProfiles } from "@mmu-notifier/core";
import { Memory, MmuNotifierError } from "@mmu-notifier/steps";
import { describe, expect, it } from "vitest";

describe("kernel profiles", () => {
  it("are the kernels that were read or recorded, oldest first", () => {
    expect(kernelProfiles.map(({ name }) => name)).toEqual([
      "v5.10",
      "v6.1",
      "v6.4",
      "v6.4+upgrade-event",
      "v6.4+upgrade-event-fixed",
      "v6.12",
      "v6.18",
      "v7.3",
    ]);
    const versions = kernelProfiles.map(({ version: [major, minor] }) => major * 1000 + minor);
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
  });

  it.each(kernelProfiles)(
    "$name has one source of hook calls: the bus and the gathers, or the architecture",
    (profile) => {
      expect(profile.hookFromArchFlush).toBe(profile.hook === "arch_invalidate_secondary_tlbs");
      expect(profile.hookFromRangeEnd).toBe(!profile.hookFromArchFlush);
      expect(profile.hookFromMmuGather).toBe(!profile.hookFromArchFlush);
      expect(profile.hasChangePte).toBe(!profile.rejectsMixedOps);
    },
  );

  it.each(kernelProfiles.flatMap((profile) => architectures.map((arch) => [profile.name, arch.name] as const)))(
    "%s boots on %s",
    (name, arch) => {
      const kernel = new Kernel({ memory: new Memory(), profile: kernelProfile(name), arch: architecture(arch) });
      expect(kernel.bus.rules.hook).toBe(kernel.profile.hook);
    },
  );

  it("have the patch as it was written: four places, one of them under the page-table lock", () => {
    expect(kernelProfile("v6.4+upgrade-event").upgradeEvent).toEqual({
      handlePteFault: "after-ptl",
      insertPfn: "after-ptl",
      hugetlbFault: "after-ptl",
      wpPageCopyUser: "under-ptl",
      wpPageReuse: "no",
      insertPfnPmd: "no",
      touchPmd: "no",
      doHugePmdWpPage: "no",
      doSwapPage: "no",
    });
    expect(kernelProfile("v6.4+upgrade-event").upgradeEventOnlyWhenGained).toBe(false);
  });

  it("repair the patch: every place that gains a right, never under the lock, never for the access flag alone", () => {
    const { upgradeEvent = {}, upgradeEventOnlyWhenGained } = kernelProfile("v6.4+upgrade-event-fixed");
    const { wpPageCopyUser, ...others } = upgradeEvent as Record<string, string>;
    expect(wpPageCopyUser).toBe("no");
    expect(new Set(Object.values(others))).toEqual(new Set(["after-ptl"]));
    expect(upgradeEventOnlyWhenGained).toBe(true);
  });

  it("differ from their base in the event alone", () => {
    const {
      name: _,
      summary: _summary,
      upgradeEvent: _event,
      upgradeEventOnlyWhenGained: _gained,
      ...base
    } = kernelProfile("v6.4");
    for (const patched of ["v6.4+upgrade-event", "v6.4+upgrade-event-fixed"])
      expect(kernelProfile(patched)).toMatchObject(base);
  });
});

describe("looking one up", () => {
  it.each([
    ["kernel profile", () => kernelProfile("v6.5"), "UNKNOWN_PROFILE", "v6.12"],
    ["architecture", () => architecture("mips"), "UNKNOWN_ARCHITECTURE", "arm64-hafdbs"],
  ])("an unknown %s says which there are", (_, look, code, known) => {
    expect(look).toThrow(MmuNotifierError);
    expect(look).toThrow(known);
    expect(look).toThrow(expect.objectContaining({ code }));
  });
});
