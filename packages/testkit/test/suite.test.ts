import { describe, expect, it } from "vitest";
import { suiteCases, type SuiteOptions, TestkitError } from "../src/index.js";
import { flawedDriver } from "./flawed-driver.js";

const KERNELS = ["v6.12", "v6.4+upgrade-event-fixed"];

/** Titles of the tests that the driver does not pass, each once. */
function failures(driver: ReturnType<typeof flawedDriver>, options: Partial<SuiteOptions> = {}): readonly string[] {
  const failed = suiteCases({ driver, kernels: KERNELS, fuzzRuns: 20, ...(options as object) }).filter(
    ({ leftOut, run }) => leftOut === undefined && throws(run),
  );
  return [...new Set(failed.map(({ section, title }) => `${section}: ${title}`))];
}

function throws(run: () => void): boolean {
  try {
    run();
    return false;
  } catch {
    return true;
  }
}

describe("secondaryMmuSuite", () => {
  it("passes a driver that is right", () => {
    expect(failures(flawedDriver())).toEqual([]);
  });

  it.each([
    ["drops one page too few", "declarations: after MMU_NOTIFY_UNMAP the device holds nothing that was taken away"],
    ["ignores invalidations", "declarations: after MMU_NOTIFY_CLEAR the device holds nothing that was taken away"],
    [
      "ignores invalidations",
      "random programs: the device never holds what the page table does not grant, and never waits for ever",
    ],
    ["throws in its callback", "contract: every event in every range is served without a throw"],
    ["does not let go", "teardown: a process that exits under the device leaves nothing behind"],
    ["does not let go", "teardown: after unbind nothing is held and no access completes; a second unbind is harmless"],
    ["keeps its count in the module", "contract: two devices made alike behave alike"],
    ["issues each command a hundred times", "work: one callback issues no more commands than declared"],
  ] as const)("catches a driver that %s", (flaw, test) => {
    expect(failures(flawedDriver(flaw))).toContain(test);
  });

  it.each([
    [{ onMissingRight: "re-walk" }, "declarations: onMissingRight is what the caches do"],
    [{ agesPages: true }, "declarations: agesPages is whether an access makes a page young"],
    [
      { filters: ["MMU_NOTIFY_PROTECTION_UPGRADE"] },
      "declarations: the declarations do not contradict each other, the decision or the host",
    ],
    [
      { filters: ["MMU_NOTIFY_UNMAP"] },
      "declarations: the declarations do not contradict each other, the decision or the host",
    ],
  ] as const)("catches a driver that declares %j and does not do it", (declares, test) => {
    expect(failures(flawedDriver(undefined, declares))).toContain(test);
  });

  it("leaves out what skip names, with the reason, on the kernels it names", () => {
    const title = "an access that hits what the device holds costs no command and no fault";
    const skip = [{ reason: "it has no cache", tests: [title], kernels: ["v6.12"] }];
    const cases = suiteCases({ driver: flawedDriver(), kernels: KERNELS, skip }).filter((each) => each.title === title);
    expect(cases.map(({ kernel, leftOut }) => [kernel, leftOut])).toEqual([
      ["v6.12", "it has no cache"],
      ["v6.4+upgrade-event-fixed", undefined],
    ]);
  });

  it.each([
    [{ kernels: ["v6.13"] }, 'there is no kernel "v6.13". Did you mean'],
    [{ archs: ["arm"] }, 'there is no architecture "arm"'],
    [
      { skip: [{ reason: "slow", tests: ["teardwon"] }] },
      'skip names a test that does not exist: "teardwon". Did you mean "teardown"?',
    ],
    [{ skip: [{ reason: " ", tests: ["teardown"] }] }, "skip of teardown gives no reason"],
    [
      { skip: [{ reason: "slow", tests: ["work"], kernels: ["v5.4"] }] },
      'kernel "v5.4", which the suite does not run on',
    ],
  ])("refuses %j", (options, message) => {
    const make = () => suiteCases({ driver: flawedDriver(), ...options });
    expect(make).toThrow(TestkitError);
    expect(make).toThrow(message);
  });
});
