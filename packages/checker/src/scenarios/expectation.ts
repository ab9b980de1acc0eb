import type { Device, Machine } from "@mmu-notifier/machine";
import { hostFacts } from "@mmu-notifier/sdk";
import type { Verdict } from "../engine/verdict.js";
import type { Scenario } from "./scenario.js";

/** What the rules say a driver comes to in a scenario. */
export interface Expectation {
  /** undefined: comes through. */
  readonly verdict: Verdict | undefined;
  /** It may come through all the same. */
  readonly perhaps?: boolean;
  /** In one sentence. */
  readonly because: string;
}

/**
 * What drivers.md §8.6 says: an entry that becomes writable reaches the device if software resolves its faults, or what a fault was
 * about is dropped before the retry, or no cache on the way keeps entries without the right, or all walk again, or the host's flush
 * reaches all, or the host tells and the driver acts. Everything else that a scenario may lead to is a mistake of somebody.
 */
export function expectationOf(scenario: Scenario, machine: Machine, device: Device): Expectation {
  const { mayUpgrade, sleeps, silent = false, upgrade = mayUpgrade } = scenario;
  if (sleeps !== undefined && machine.kernel.profile.upgradeEvent?.[sleeps] === "under-ptl")
    return { verdict: "CONTEXT", because: `${sleeps} sends the event under the page-table lock` };
  if (upgrade === undefined) return { verdict: undefined, because: "every change is announced" };
  const { declarations, decision } = device.binding();
  const host = hostFacts(machine.kernel);
  const safe = (because: string): Expectation => ({ verdict: undefined, because });
  if (declarations.resolvesFaultsInSoftware) return safe("a missing right is resolved in software");
  if (declarations.dropsBeforeRetry === true)
    return safe("what a fault was about is dropped before the access is tried again");
  if (declarations.cachesReadOnly === false) return safe("entries without the right are not cached");
  if (declarations.onMissingRight === "re-walk") return safe("every cache walks again when a right is missing");
  const scope = host.broadcast("upgrade");
  if (scope !== "none" && declarations.ats !== true && declarations.reachedByBroadcast.includes(scope))
    return safe(`the host's flush (${scope}) reaches every cache`);
  const acts = decision.protectionUpgrade === "deliver";
  if (acts && host.hookOnUpgrade) return safe("the host's flush calls the hook, and the driver acts on it");
  const { upgradeEvent, upgradeEventOnlyWhenGained } = machine.kernel.profile;
  const sent = silent && upgradeEventOnlyWhenGained ? "no" : upgradeEvent?.[upgrade];
  if (acts && sent === "after-ptl") return safe(`${upgrade} sends the event, and the driver acts on it`);
  const silence =
    host.hookOnUpgrade || sent === "after-ptl" ? "the driver ignores what it is told" : "the host tells nobody";
  return {
    verdict: "LIVELOCK",
    ...(mayUpgrade === undefined ? {} : { perhaps: true }),
    because: `${silence}, and the entry without the right may be served for ever`,
  };
}
