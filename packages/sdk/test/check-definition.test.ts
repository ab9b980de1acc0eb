import { describe, expect, it } from "vitest";
import {
  checkDefinition,
  createDevice,
  defineSecondaryMmu,
  resolveOptions,
  SdkError,
  Workbench,
} from "../src/index.js";

const GOOD = {
  name: "acme-npu",
  sdk: 1,
  summary: "a device",
  declares: {
    pageTable: "shared-walk",
    onMissingRight: "fault",
    resolvesFaultsInSoftware: false,
    reachedByBroadcast: [],
    filters: [],
  },
  create: () => undefined,
};

function refusal(candidate: unknown): SdkError {
  try {
    checkDefinition(candidate, "mmu-acme@1.0.0");
  } catch (error) {
    if (error instanceof SdkError) return error;
    throw error;
  }
  throw new Error("was accepted");
}

describe("checkDefinition", () => {
  it("accepts what the sdk describes", () => {
    expect(checkDefinition(GOOD, "mmu-acme@1.0.0")).toBe(GOOD);
  });

  it.each([
    [undefined, "its default export is undefined"],
    [{ ...GOOD, name: undefined }, "name is missing"],
    [{ ...GOOD, name: "AcmeNpu" }, 'name is "AcmeNpu"'],
    [{ ...GOOD, summary: 7 }, "summary is 7"],
    [{ ...GOOD, create: undefined, creates: () => 0 }, "create is missing, but there is creates"],
    [{ ...GOOD, create: {} }, "create is an object"],
    [{ ...GOOD, devise: () => 0 }, 'Did you mean "device"?'],
    [{ ...GOOD, device: 3 }, "Make device a function, or leave it out"],
    [{ ...GOOD, options: 3 }, "Make options an object of defaults, or leave it out"],
    [{ ...GOOD, declares: undefined }, "declares is missing"],
    [
      { ...GOOD, declares: { ...GOOD.declares, pageTable: "shared" } },
      'declares.pageTable is "shared". It is "shared-walk" or "mirror" or "pinned"',
    ],
    [{ ...GOOD, declares: { ...GOOD.declares, filter: [] } }, 'Did you mean "filters"?'],
    [
      { ...GOOD, declares: { ...GOOD.declares, filters: ["PROTECTION_UPGRADE"] } },
      'declares.filters is ["PROTECTION_UPGRADE"]',
    ],
    [{ ...GOOD, declares: { ...GOOD.declares, onMissingRight: undefined } }, "declares.onMissingRight is missing"],
    [{ ...GOOD, declares: { ...GOOD.declares, ats: "yes" } }, "It is true or false"],
    [{ ...GOOD, declares: { ...GOOD.declares, maxCommandsPerCall: -1 } }, "a whole number"],
  ])("refuses %#: %s", (candidate, text) => {
    const error = refusal(candidate);

    expect(error.code).toBe("SDK_DEFINITION_INVALID");
    expect(error.message).toContain("mmu-acme@1.0.0");
    expect(error.message).toContain(text);
  });

  it("names the sdk that a driver was written for", () => {
    const error = refusal({ ...GOOD, sdk: 2 });

    expect(error.code).toBe("SDK_VERSION_UNSUPPORTED");
    expect(error.message).toBe(
      "mmu-acme@1.0.0 is written for sdk 2, this is sdk 1. Install a version of mmu-acme@1.0.0 for sdk 1",
    );
  });
});

describe("resolveOptions", () => {
  const definition = defineSecondaryMmu<undefined, { depth: number; policy: string; list: readonly string[] }>({
    ...(GOOD as object as { name: string; sdk: 1; summary: string }),
    declares: {
      pageTable: "mirror",
      onMissingRight: "fault",
      resolvesFaultsInSoftware: true,
      reachedByBroadcast: [],
      filters: [],
    },
    options: { depth: 4, policy: "any", list: [] },
    create: () => {
      throw new Error("not bound here");
    },
  });

  it("puts what is given over the defaults", () => {
    expect(resolveOptions(definition, { depth: 8 })).toEqual({ depth: 8, policy: "any", list: [] });
  });

  it("refuses unknown names with a suggestion, and wrong types with the default as a model", () => {
    expect(() => resolveOptions(definition, { dept: 8 } as object)).toThrow(
      'it has depth, policy, list. Did you mean "depth"?',
    );
    expect(() => resolveOptions(definition, { depth: "8" } as object)).toThrow(
      'is "8". Give a number, as the default 4',
    );
    expect(() => resolveOptions(definition, { list: "a" } as object)).toThrow("Give an array");
  });

  it("is applied when a device is made", () => {
    const bench = new Workbench();

    expect(() =>
      createDevice(bench.k, definition, { name: "d", options: { depth: "8" } as object, faults: () => bench.faults() }),
    ).toThrow(SdkError);
  });
});

describe("what create returns", () => {
  const stage = { *translate() {} };
  const whole = { translation: stage, fault: { *handle() {} }, *unbind() {}, entries: () => [] };
  it.each([
    [undefined, "create of driver acme-npu returned nothing. Return { translation, fault, unbind, entries }"],
    [{}, "a binding without a translation"],
    [{ ...whole, fault: undefined }, "a binding without a fault strategy"],
    [{ ...whole, unbind: 3 }, "a binding without unbind"],
    [{ ...whole, entries: undefined }, "a binding without entries"],
  ])("%o is refused when the device is bound, by the name of what is missing", (binding, message) => {
    const bench = new Workbench();
    const definition = checkDefinition({ ...GOOD, create: () => binding }, "mmu-acme@1.0.0");
    const device = createDevice(bench.k, definition, { name: "d", faults: () => bench.faults() });

    expect(() => device.bind(bench.mm)).toThrow(message);
  });

  it("declarations that a function or a binding returns are held to the same rules", () => {
    const bench = new Workbench();
    const { pageTable: _, ...without } = GOOD.declares;
    const bind = (more: object, fields: object) => {
      const definition = checkDefinition({ ...GOOD, ...more, create: () => ({ ...whole, ...fields }) }, "acme");
      createDevice(bench.k, definition, { name: "d", faults: () => bench.faults() }).bind(bench.mm);
    };

    expect(() => bind({ declares: () => GOOD.declares }, { declares: GOOD.declares })).not.toThrow();
    expect(() => bind({ declares: () => without }, {})).toThrow("declares.pageTable is missing");
    expect(() => bind({}, { declares: { ...GOOD.declares, ats: 1 } })).toThrow("declares.ats is 1");
    expect(() => bind({ declares: () => undefined }, {})).toThrow("declares is missing");
  });
});
