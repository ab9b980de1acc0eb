import { beforeAll, describe, expect, it } from "vitest";
import { shippedRegistry } from "../src/registry.js";
import { runTrial, type Trial, UPGRADE_SCENARIOS } from "@mmu-notifier/script";
import { copyUnderLock } from "../src/story/under-lock.js";
import { KERNELS, VARIANTS } from "../src/story/variants.js";

const trials: Trial[] = [];

beforeAll(async () => {
  const registry = await shippedRegistry();
  for (const scenario of UPGRADE_SCENARIOS)
    for (const variant of VARIANTS)
      for (const kernel of KERNELS) trials.push(runTrial(kernel, variant, scenario, registry));
});

const verdict = (scenario: string, driver: string, kernel: string): Trial =>
  trials.find((trial) => trial.scenario === scenario && trial.driver === driver && trial.kernel === kernel)!;

const SMMU = "ARM SMMU without BTM";
const BTM = "IOMMU with BTM";
const ATS = "IOMMU with BTM, ATS device";
const KVM = "KVM-style shadow";

/** Scenarios in which the patch has a call on the way. */
const COVERED = ["clean-shmem", "hugetlb", "dax-mkwrite"];
const MISSED = ["reuse", "thp-reuse"];

describe("an SMMU without BTM", () => {
  it.each(UPGRADE_SCENARIOS.map(({ name }) => name))("faults for ever on v6.4: %s", (scenario) => {
    expect(verdict(scenario, SMMU, "v6.4")).toMatchObject({
      outcome: "livelock",
      upgrade: "not sent",
      through: "none",
    });
  });

  it.each(COVERED)("is cured by the patch where it has a call: %s", (scenario) => {
    expect(verdict(scenario, SMMU, "v6.4+upgrade-event")).toMatchObject({
      outcome: "written",
      faults: 1,
      upgrade: "delivered",
      through: "MMU_NOTIFY_PROTECTION_UPGRADE",
    });
  });

  it.each(MISSED)("still faults for ever where the patch has none: %s", (scenario) => {
    expect(verdict(scenario, SMMU, "v6.4+upgrade-event")).toMatchObject({ outcome: "livelock", upgrade: "not sent" });
  });

  it.each(UPGRADE_SCENARIOS.map(({ name }) => name))(
    "is cured by the repaired patch and by v6.12's hook: %s",
    (scenario) => {
      expect(verdict(scenario, SMMU, "v6.4+upgrade-event-fixed")).toMatchObject({
        outcome: "written",
        faults: 1,
        through: "MMU_NOTIFY_PROTECTION_UPGRADE",
      });
      expect(verdict(scenario, SMMU, "v6.12")).toMatchObject({
        outcome: "written",
        faults: 1,
        through: "arch_invalidate_secondary_tlbs",
      });
    },
  );

  it("spends one TLBI and one CMD_SYNC on a page, and the whole ASID on a huge page of the patch", () => {
    expect(verdict("clean-shmem", SMMU, "v6.12").commands).toMatchObject({ CMD_TLBI_NH_VA: 1, CMD_SYNC: 1 });
    expect(verdict("hugetlb", SMMU, "v6.4+upgrade-event").commands).toMatchObject({ CMD_TLBI_NH_ASID: 1, CMD_SYNC: 1 });
  });
});

describe("an IOMMU with BTM", () => {
  it("hears the CPU's own flush: it filters the event, spends nothing, and is never stuck", () => {
    for (const { name } of UPGRADE_SCENARIOS) {
      for (const kernel of KERNELS) {
        const { outcome, commands, upgrade } = verdict(name, BTM, kernel);
        expect({ name, kernel, outcome, tlbi: commands["CMD_TLBI_NH_VA"] ?? 0 }).toEqual({
          name,
          kernel,
          outcome: "written",
          tlbi: 0,
        });
        expect(upgrade).not.toBe("delivered");
      }
    }
  });

  it.each(UPGRADE_SCENARIOS.map(({ name }) => name))(
    "is stuck on v6.4 when the device caches translations of its own: %s",
    (scenario) => {
      expect(verdict(scenario, ATS, "v6.4").outcome).toBe("livelock");
      expect(verdict(scenario, ATS, "v6.4+upgrade-event-fixed")).toMatchObject({
        outcome: "written",
        upgrade: "delivered",
        commands: { CMD_ATC_INV: 1 },
      });
    },
  );
});

describe("a KVM-style shadow", () => {
  it("resolves the fault in software on every kernel and filters the event", () => {
    for (const { name } of UPGRADE_SCENARIOS) {
      for (const kernel of KERNELS) {
        const { outcome, faults, upgrade } = verdict(name, KVM, kernel);
        expect({ name, kernel, outcome, resolved: faults <= 1 }).toEqual({
          name,
          kernel,
          outcome: "written",
          resolved: true,
        });
        expect(upgrade).not.toBe("delivered");
      }
    }
  });
});

describe("the patch's call in __wp_page_copy_user", () => {
  it("may sleep under the page-table lock, on the patch as written and nowhere else", async () => {
    const registry = await shippedRegistry();

    expect(KERNELS.map((kernel) => copyUnderLock(kernel, registry))).toEqual([
      { kernel: "v6.4", outcome: "written" },
      {
        kernel: "v6.4+upgrade-event",
        outcome: "CONTEXT",
        call: "mmu_notifier_invalidate_range_start",
        path: expect.stringMatching(/do_wp_page -> wp_page_copy -> __wp_page_copy_user$/) as string,
        lock: expect.stringMatching(/^ptl \d+$/) as string,
      },
      { kernel: "v6.4+upgrade-event-fixed", outcome: "written" },
      { kernel: "v6.12", outcome: "written" },
    ]);
  });
});
