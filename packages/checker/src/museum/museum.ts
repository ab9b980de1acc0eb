import type { MuseumEntry } from "./entry.js";
import { hwWalkerWithStartEndOnly } from "./entries/hw-walker-with-start-end-only.js";
import { kvmNoRetryCheck } from "./entries/kvm-no-retry-check.js";
import { seedMissedWpPageReuse } from "./entries/seed-missed-wp-page-reuse.js";
import { smmuAtcBeforeTlbi } from "./entries/smmu-atc-before-tlbi.js";
import { smmuNobtmUpgradeLivelock } from "./entries/smmu-nobtm-upgrade-livelock.js";
import { upgradeCallbackInstallsPte } from "./entries/upgrade-callback-installs-pte.js";

/**
 * The bugs of the museum, those first that tell a driver's author most.
 *
 * @public
 */
export const museum: readonly MuseumEntry[] = [
  smmuNobtmUpgradeLivelock,
  smmuAtcBeforeTlbi,
  kvmNoRetryCheck,
  hwWalkerWithStartEndOnly,
  upgradeCallbackInstallsPte,
  seedMissedWpPageReuse,
];
