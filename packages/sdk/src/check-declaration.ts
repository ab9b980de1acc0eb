import type { MmuNotifyEvent } from "@mmu-notifier/bus";
import type { Declarations } from "./declarations.js";
import { declarationsOf, type SecondaryMmuDefinition, type UpgradeDecision, upgradeDecisionOf } from "./definition.js";
import type { HostFacts } from "./host/host-facts.js";

/** A declaration that contradicts itself, the decision or the host: a verdict before anything has run. */
export interface ContractFinding {
  readonly verdict: "CONTRACT";
  /** Name of the definition. */
  readonly driver: string;
  readonly event: MmuNotifyEvent;
  /** One sentence: what contradicts what, and what would mend it. */
  readonly message: string;
}

/** Events after which an old translation grants more than the page table does. */
const TAKES_AWAY: ReadonlySet<MmuNotifyEvent> = new Set<MmuNotifyEvent>([
  "MMU_NOTIFY_UNMAP",
  "MMU_NOTIFY_CLEAR",
  "MMU_NOTIFY_PROTECTION_VMA",
  "MMU_NOTIFY_PROTECTION_PAGE",
  "MMU_NOTIFY_SOFT_DIRTY",
]);
const UPGRADE = "MMU_NOTIFY_PROTECTION_UPGRADE";

/**
 * Whether a binding may ignore upgrades: if software resolves permission faults, or every cache on the way is reached by a
 * flush that the host performs on upgrade, or every such cache walks again when a right is missing.
 *
 * @returns why it may, or undefined
 */
export function mayFilterUpgrade(declarations: Declarations, host: HostFacts): string | undefined {
  if (declarations.resolvesFaultsInSoftware) return "a missing right is resolved in software against the host's entry";
  if (declarations.cachesReadOnly === false) return "entries without the right are not cached";
  if (declarations.onMissingRight === "re-walk") return "every cache walks again when a right is missing";
  const scope = host.broadcast("upgrade");
  if (scope !== "none" && declarations.ats !== true && declarations.reachedByBroadcast.includes(scope)) {
    return `the host's flush on upgrade (${scope}) reaches every cache`;
  }
  return undefined;
}

/**
 * Looks for contradictions between what a driver declares, what it decides and what the host does.
 *
 * @param decision of one binding; absent: what the definition decides on this host
 * @param declarations of one binding; absent: those of the definition
 */
export function checkDeclaration<D, O extends object>(
  definition: SecondaryMmuDefinition<D, O>,
  host: HostFacts,
  options: O,
  decision: UpgradeDecision = upgradeDecisionOf(definition, host, options),
  declarations: Declarations = declarationsOf(definition, host, options),
): readonly ContractFinding[] {
  const findings: ContractFinding[] = [];
  const find = (event: MmuNotifyEvent, message: string): void => {
    findings.push({ verdict: "CONTRACT", driver: definition.name, event, message });
  };
  const filters = decision.protectionUpgrade === "filter";
  if (filters && mayFilterUpgrade(declarations, host) === undefined) {
    find(
      UPGRADE,
      `it filters upgrades ("${decision.because}"), but nothing then removes a cached read-only entry: faults are not resolved in software, ` +
        `a hit without the right may fault, and the host's flush on upgrade (${host.broadcast("upgrade")}) ${reach(declarations)}. Act on the event`,
    );
  }
  if (declarations.filters.includes(UPGRADE) && !filters) {
    find(
      UPGRADE,
      `declares.filters lists the event, but the binding acts on it ("${decision.because}"). Take it off the list`,
    );
  }
  for (const event of declarations.filters) {
    if (!TAKES_AWAY.has(event)) continue;
    const reason = mayFilterReduction(event, declarations, host);
    if (reason !== undefined) find(event, reason);
  }
  return findings;
}

/** Why an event that takes rights or pages away may not be ignored; undefined when it may. */
function mayFilterReduction(event: MmuNotifyEvent, declarations: Declarations, host: HostFacts): string | undefined {
  if (declarations.pageTable === "pinned") {
    return event === "MMU_NOTIFY_UNMAP"
      ? "a pinned cache must drop what is unmapped, or it hands out pages of an old mapping. Act on the event"
      : undefined;
  }
  const scope = host.broadcast("ordinary");
  if (
    declarations.pageTable === "shared-walk" &&
    declarations.ats !== true &&
    declarations.reachedByBroadcast.includes(scope)
  )
    return undefined;
  return `after the event an old translation grants more than the page table does, and the host's flushes (${scope}) ${reach(declarations)}. Act on the event`;
}

function reach({ ats, reachedByBroadcast }: Declarations): string {
  if (ats === true) return "do not reach the device's own cache";
  return reachedByBroadcast.length === 0
    ? "reach none of its caches"
    : `do not reach caches that hear ${reachedByBroadcast.join(", ")} only`;
}
