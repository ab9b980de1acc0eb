import { arm64, arm64Hafdbs } from "./arm64.js";
import type { Architecture } from "./architecture.js";
import { x8664 } from "./x86-64.js";

/**
 * Every architecture that ships with the model.
 *
 * @public
 */
export const architectures: readonly Architecture[] = [arm64, arm64Hafdbs, x8664];
