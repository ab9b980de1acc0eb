import { MmuNotifierError } from "@mmu-notifier/steps";
import { architectures } from "../arch/architectures.js";
import type { Architecture } from "../arch/architecture.js";
import type { KernelProfile } from "../kernel-profile.js";
import { kernelProfiles } from "./profiles.js";

/**
 * The kernel profile called `name`, for instance `v6.4+upgrade-event`.
 *
 * @throws MmuNotifierError UNKNOWN_PROFILE, with the names there are.
 */
export function kernelProfile(name: string): KernelProfile {
  return named("kernel profile", "UNKNOWN_PROFILE", kernelProfiles, name);
}

/**
 * The architecture called `name`, for instance `arm64-hafdbs`.
 *
 * @throws MmuNotifierError UNKNOWN_ARCHITECTURE, with the names there are.
 */
export function architecture(name: string): Architecture {
  return named("architecture", "UNKNOWN_ARCHITECTURE", architectures, name);
}

function named<T extends { readonly name: string }>(what: string, code: string, known: readonly T[], name: string): T {
  const found = known.find((candidate) => candidate.name === name);
  if (found !== undefined) return found;
  const names = known.map((candidate) => candidate.name);
  throw new MmuNotifierError(code, `there is no ${what} ${JSON.stringify(name)}. Use one of ${names.join(", ")}`, {
    name,
    known: names,
  });
}
