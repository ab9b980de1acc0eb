import kvm from "@mmu-notifier/driver-kvm";
import smmu from "@mmu-notifier/driver-arm-smmu";
import { PluginRegistry } from "@mmu-notifier/machine";
import { describe, expect, it } from "vitest";
import { type PatchCase, type PatchKernel, patchQuestions, tryPatch } from "@mmu-notifier/checker";

const registry = PluginRegistry.withCore();
registry.add(smmu, "driver-arm-smmu");
registry.add(kvm, "driver-kvm");

const PATCH = "v6.4+upgrade-event";
const caseOf = (id: string): PatchCase => patchQuestions.flatMap(({ cases }) => cases).find((one) => one.id === id)!;
const found = (asked: PatchCase, kernel: PatchKernel = PATCH, driver = "arm-smmu"): readonly string[] =>
  tryPatch(asked, kernel, { registry, driver })
    .exploration!.findings.filter(({ severity }) => severity === "error")
    .map(({ verdict }) => verdict);

describe("the patch on trial", () => {
  it("has the hole of Q3 apart from that of Q1: repaired with it, the swap-in comes through", () => {
    const asked = caseOf("Q3");
    expect(found(asked)).toEqual(["LIVELOCK"]);
    const both = {
      kernel: "both tell",
      words: "",
      sites: { wpPageReuse: "after-ptl", doSwapPage: "after-ptl" },
    } as const;
    expect(found({ ...asked, amended: both })).toEqual([]);
  });

  it("has the fault of Q4 behind that of Q5", () => {
    const { amended: _, ...asWritten } = caseOf("Q4");
    expect(found(asWritten)).toEqual(["CONTEXT"]);
  });

  it.each(["Q4", "Q6", "Q6b", "Q8", "Q8b", "Q9", "Q9b", "Q10b", "Q12"])(
    "finds in %s what is watched, and nothing else",
    (id) => {
      expect(found(caseOf(id))).toHaveLength(1);
      expect(found({ ...caseOf(id), watches: [] })).toEqual([]);
    },
  );

  it("asks on the architecture of a case, else on the one that is wanted", () => {
    const on = (id: string) => tryPatch(caseOf(id), PATCH, { registry, driver: "kvm", arch: "x86-64" }).arch;
    expect([on("Q7"), on("Q10c"), on("Q1")]).toEqual(["sparc64", "riscv64", "x86-64"]);
  });

  it("takes the first finding for the answer", () => {
    const { exploration } = tryPatch(caseOf("Q5"), PATCH, { registry, driver: "arm-smmu" });
    expect(exploration!.bounds).toBe("stopped at the first finding");
  });
});
