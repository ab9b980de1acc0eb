import { arm64, arm64Hafdbs } from "./arm64.js";
import type { Architecture } from "./architecture.js";
import { ia64 } from "./ia64.js";
import { riscv64, riscv64Svvptc } from "./riscv64.js";
import { sparc64 } from "./sparc64.js";
import { x8664 } from "./x86-64.js";

/**
 * Every architecture that ships with the model.
 *
 * @public
 */
export const architectures: readonly Architecture[] = [
  arm64,
  arm64Hafdbs,
  x8664,
  riscv64,
  riscv64Svvptc,
  sparc64,
  ia64,
];
