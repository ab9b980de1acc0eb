import { type KernelProfile, kernelProfiles } from "@mmu-notifier/core";
import { createMachine, type Machine, PluginRegistry } from "@mmu-notifier/machine";
import { ReplayError } from "./errors.js";
import { REPLAY_ARCH, REPLAY_KERNEL, type ReplayDrivers, type ReplayOptions } from "./options.js";

/** Registers of a replay: the given ones, or the kernels and architectures of core. */
function registryOf({ registry }: ReplayOptions): PluginRegistry {
  return registry ?? PluginRegistry.withCore();
}

/** The drivers to attach. */
export function driversOf(options: ReplayOptions): ReplayDrivers {
  return (
    options.drivers ??
    registryOf(options)
      .list("driver")
      .map(({ name }) => ({ driver: name }))
  );
}

/** The kernel profile of a replay. */
export function profileOf(options: ReplayOptions): KernelProfile {
  const { kernel = REPLAY_KERNEL } = options;
  return typeof kernel === "string" ? registryOf(options).find("kernel-profile", kernel).plugin.profile : kernel;
}

/**
 * A machine like the one that the shipped traces were recorded on. Fault-around is off: which neighbours of a page were in the
 * page cache is in no trace; see FaultReplay.
 */
export function replayMachine(options: ReplayOptions, profile: KernelProfile): Machine {
  return createMachine({
    kernel: profile,
    arch: options.arch ?? REPLAY_ARCH,
    registry: registryOf(options),
    config: { faultAroundPages: 1, hugetlbPages: 0, ...options.config },
  });
}

/**
 * The kernel that the patch was written for, without its event and with the event sent from every place that gains a right.
 *
 * @throws ReplayError REPLAY_OPTION when core ships no such pair
 */
export function upgradeKernels(): { readonly without: KernelProfile; readonly withEvent: KernelProfile } {
  const withEvent = kernelProfiles.find(
    (profile) => profile.upgradeEvent !== undefined && profile.upgradeEventOnlyWhenGained,
  );
  const without = kernelProfiles.find(
    ({ version, upgradeEvent }) => upgradeEvent === undefined && version.join(".") === withEvent?.version.join("."),
  );
  if (withEvent === undefined || without === undefined) {
    throw new ReplayError(
      "REPLAY_OPTION",
      "no kernel is known with and without the upgrade event. Replay with { upgradeEvent: false }",
    );
  }
  return { without, withEvent };
}
