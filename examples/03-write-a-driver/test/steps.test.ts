import { type AnySecondaryMmuDefinition, checkDefinition } from "@mmu-notifier/sdk";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  mmput,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  sysMmap,
} from "@mmu-notifier/core";
import { createMachine } from "@mmu-notifier/machine";
import { describe, expect, it } from "vitest";
import driver from "../src/driver.js";
import nothing from "../src/steps/0-nothing.js";
import noCache from "../src/steps/1-no-cache.js";
import deafTlb from "../src/steps/2-deaf-tlb.js";
import invalidations from "../src/steps/3-invalidations.js";
import { upgradeOn } from "../src/upgrade.js";

const PAGE = 0x2_0000_0000;

/** What the device reads once the process, whose page it has read before, has exited. */
function readAfterExit(definition: AnySecondaryMmuDefinition): string {
  const machine = createMachine({ kernel: "v6.12", arch: "arm64" });
  const process = machine.createProcess();
  const { kernel } = machine;
  const request = {
    address: PAGE * PAGE_SIZE,
    length: PAGE_SIZE,
    prot: PROT_READ | PROT_WRITE,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
  };
  machine.run(sysMmap(kernel, process.thread, request));
  const npu = machine.attach(definition, { process });
  npu.access(PAGE, "read");
  machine.run(mmput(kernel, process.thread));
  return npu.access(PAGE, "read").outcome.kind;
}

describe("the steps to a driver", () => {
  it("begin with an object that is no driver", () => {
    expect(() => checkDefinition(nothing, "step 0")).toThrow(
      expect.objectContaining({ code: "SDK_DEFINITION_INVALID" }),
    );
  });

  it.each([
    ["without a cache", noCache, "value"],
    ["with a TLB that nobody tells anything", deafTlb, "livelock"],
    ["with invalidations", invalidations, "value"],
    ["as finished", driver, "value"],
  ])("end an upgrade, %s, as the guide says", (_, definition, outcome) => {
    expect(upgradeOn("v6.12", definition).outcome).toBe(outcome);
  });

  it.each([
    ["without a cache", noCache, "abort"],
    ["with a TLB that nobody tells anything", deafTlb, "value"],
    ["with invalidations", invalidations, "value"],
    ["as finished", driver, "abort"],
  ])("end a read of a process that has exited, %s, as the guide says", (_, definition, outcome) => {
    expect(readAfterExit(definition)).toBe(outcome);
  });
});
