import { describe, expect, it } from "vitest";
import {
  checkDeclaration,
  type Declarations,
  defineSecondaryMmu,
  hostFacts,
  mayFilterUpgrade,
  type MmuNotifyEvent,
  upgradeDecisionOf,
  Workbench,
} from "../src/index.js";

const BASE: Declarations = {
  pageTable: "shared-walk",
  onMissingRight: "fault",
  resolvesFaultsInSoftware: false,
  reachedByBroadcast: [],
  filters: [],
};
const UPGRADE: MmuNotifyEvent = "MMU_NOTIFY_PROTECTION_UPGRADE";

const host = (profile = "v6.12", arch = "arm64") => hostFacts(new Workbench({ profile, arch }).k);
const definition = (declares: Partial<Declarations>) =>
  defineSecondaryMmu({
    name: "acme-npu",
    sdk: 1,
    summary: "a device",
    declares: { ...BASE, ...declares },
    create: () => {
      throw new Error("not bound here");
    },
  });
const findings = (declares: Partial<Declarations>, at = host()) =>
  checkDeclaration(definition(declares), at, {}).map(({ event, verdict }) => `${verdict} ${event}`);

describe("mayFilterUpgrade", () => {
  it.each([
    ["software resolves faults", { resolvesFaultsInSoftware: true }, true],
    ["every cache walks again", { onMissingRight: "re-walk" }, true],
    ["a cache may walk again or not", { onMissingRight: "either" }, false],
    ["read-only entries are not cached", { cachesReadOnly: false }, true],
    ["broadcasts reach it", { reachedByBroadcast: ["inner-shareable"] }, true],
    ["broadcasts reach it but for its own cache", { reachedByBroadcast: ["inner-shareable"], ats: true }, false],
    ["nothing holds", {}, false],
  ] as const)("when %s", (_, declares, allowed) => {
    expect(mayFilterUpgrade({ ...BASE, ...declares }, host()) !== undefined).toBe(allowed);
  });

  it("depends on how far the host's flush on upgrade reaches", () => {
    const declares: Declarations = { ...BASE, reachedByBroadcast: ["inner-shareable"] };

    expect(mayFilterUpgrade(declares, host("v6.12"))).toBeDefined();
    expect(mayFilterUpgrade(declares, host("v7.3"))).toBeUndefined();
    expect(mayFilterUpgrade(declares, host("v6.12", "x86-64"))).toBeUndefined();
  });
});

describe("checkDeclaration", () => {
  it("accepts a driver that acts on everything", () => {
    expect(findings({})).toEqual([]);
  });

  it("finds a filter of upgrades that leaves read-only entries for ever", () => {
    expect(findings({ filters: [UPGRADE] })).toEqual([`CONTRACT ${UPGRADE}`]);
    expect(checkDeclaration(definition({ filters: [UPGRADE] }), host(), {})[0]!.message).toContain(
      "(inner-shareable) reach none of its caches",
    );
  });

  it("finds filters of events that take rights or pages away", () => {
    expect(
      findings({ pageTable: "mirror", resolvesFaultsInSoftware: true, filters: ["MMU_NOTIFY_PROTECTION_PAGE"] }),
    ).toEqual(["CONTRACT MMU_NOTIFY_PROTECTION_PAGE"]);
    expect(findings({ filters: ["MMU_NOTIFY_UNMAP"] })).toEqual(["CONTRACT MMU_NOTIFY_UNMAP"]);
  });

  it("lets a walker of the shared table rest on ordinary broadcasts, without ATS", () => {
    const declares = {
      reachedByBroadcast: ["inner-shareable"],
      filters: ["MMU_NOTIFY_UNMAP", "MMU_NOTIFY_CLEAR"],
    } as const;

    expect(findings(declares)).toEqual([]);
    expect(findings({ ...declares, ats: true })).toHaveLength(2);
    expect(findings(declares, host("v6.12", "x86-64"))).toHaveLength(2);
  });

  it("lets a pinned cache ignore all but UNMAP", () => {
    expect(
      findings({
        pageTable: "pinned",
        resolvesFaultsInSoftware: true,
        filters: ["MMU_NOTIFY_CLEAR", "MMU_NOTIFY_PROTECTION_PAGE"],
      }),
    ).toEqual([]);
    expect(findings({ pageTable: "pinned", resolvesFaultsInSoftware: true, filters: ["MMU_NOTIFY_UNMAP"] })).toEqual([
      "CONTRACT MMU_NOTIFY_UNMAP",
    ]);
  });

  it("finds a list that says filter where the decision says deliver", () => {
    const deciding = {
      ...definition({ filters: [UPGRADE], resolvesFaultsInSoftware: true }),
      decides: () => ({ protectionUpgrade: "deliver" as const, because: "so" }),
    };

    expect(checkDeclaration(deciding, host(), {})[0]!.message).toContain("Take it off the list");
  });

  it("takes the decision from the list when a definition decides nothing", () => {
    expect(upgradeDecisionOf(definition({}), host(), {}).protectionUpgrade).toBe("deliver");
    expect(upgradeDecisionOf(definition({ filters: [UPGRADE] }), host(), {}).protectionUpgrade).toBe("filter");
  });
});
