import { describe, expect, it } from "vitest";
import { didYouMean, nearMisses } from "../src/index.js";

describe("nearMisses", () => {
  const known = ["arm-smmu", "iommu-btm", "kvm", "arm64"];

  it.each([
    ["arm-smu", ["arm-smmu"]],
    ["ram-smmu", ["arm-smmu"]],
    ["KVM", ["kvm"]],
    ["kmv", ["kvm"]],
    ["arm", ["arm-smmu", "arm64"]],
    ["iommu", ["iommu-btm"]],
    ["nvidia-uvm", []],
    ["", []],
    ["x".repeat(1000), []],
  ])("for %j are %j", (typed, near) => {
    expect(nearMisses(typed, known)).toEqual(near);
  });

  it("make a question for the end of a message, or nothing", () => {
    expect(didYouMean("arm", known)).toBe(' Did you mean "arm-smmu" or "arm64"?');
    expect(didYouMean("zzz", known)).toBe("");
  });
});
