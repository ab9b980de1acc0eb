import type { MuseumControl } from "../entry.js";
import { invalidationControls } from "./invalidations.js";
import { retryControl } from "./retry.js";
import { upgradeControls } from "./upgrades.js";

/**
 * What the checker must not call a bug.
 *
 * @public
 */
export const controls: readonly MuseumControl[] = [...upgradeControls, retryControl, ...invalidationControls];
