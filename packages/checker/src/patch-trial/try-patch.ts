import type { KernelProfile, UpgradeEventSites } from "@mmu-notifier/core";
import type { PluginRegistry } from "@mmu-notifier/machine";
import type { ExploreOptions } from "../engine/exploration.js";
import { checkScenario, type ScenarioResult, type ScenarioRun } from "../scenarios/check-scenario.js";
import type { Amendment, PatchCase } from "./questions.js";
import { trialMirror } from "./trial-mirror.js";
import { watch } from "./watches.js";

const PATCH = "v6.4+upgrade-event";

/** Before the patch, the patch as written, the patch repaired, what mainline did. */
export const patchKernels = ["v6.4", PATCH, "v6.4+upgrade-event-fixed", "v6.12"] as const;

/** Kernel of {@link patchKernels}. */
export type PatchKernel = (typeof patchKernels)[number];

/** Where names are looked up, the driver that is asked where no other is, and how far the searches go. */
export interface PatchTrial extends Pick<ScenarioRun, "registry" | "driver" | "options"> {
  /** Only where a case does not say on which architecture it is. */
  readonly arch?: string;
  readonly explore?: ExploreOptions;
}

/**
 * Searches one case on one kernel, until the first finding settles it; with `schedule`, runs that again instead. A case that amends
 * the patch does so in place of the patch as written.
 *
 * @public
 */
export function tryPatch(
  asked: PatchCase,
  kernel: PatchKernel,
  { registry, driver, options = {}, arch, explore = {} }: PatchTrial,
  schedule?: string,
): ScenarioResult {
  const { amended, scenario, watches } = asked;
  const on = asked.arch ?? scenario.arch ?? arch;
  return checkScenario(scenario, {
    ...(asked.driver ?? { driver, options }),
    registry: withTrialMirror(amended === undefined ? registry : withAmended(registry, amended)),
    kernel: amended !== undefined && kernel === PATCH ? amended.kernel : kernel,
    ...(on === undefined ? {} : { arch: on }),
    explore: { stopAtFirst: true, ...explore },
    rules: (session) => watch(session, watches),
    ...(schedule === undefined ? {} : { replay: schedule }),
  });
}

function withTrialMirror(registry: PluginRegistry): PluginRegistry {
  if (registry.has("driver", trialMirror.name)) return registry;
  const own = registry.copy();
  own.add(trialMirror, "the trial of the patch");
  return own;
}

function withAmended(registry: PluginRegistry, { kernel: name, profile = {}, sites }: Amendment): PluginRegistry {
  const own = registry.copy();
  const patch = own.find("kernel-profile", PATCH).plugin.profile;
  const changed: KernelProfile = {
    ...patch,
    ...profile,
    name,
    upgradeEvent: { ...(patch.upgradeEvent as UpgradeEventSites), ...sites },
  };
  own.add({ kind: "kernel-profile", profile: changed }, "the trial of the patch");
  return own;
}
