/**
 * Which invalidations reach the other agents' TLBs.
 *
 * - `btm`: broadcasts do (broadcast TLB maintenance);
 * - `notifier`: they do not, but a notifier forwards every one as a command, and its completion is waited for;
 * - `filtered`: as `notifier`, but the driver filters MMU_NOTIFY_PROTECTION_UPGRADE;
 * - `none`: they stay where they were issued.
 *
 * @public
 */
export type Agents = "btm" | "notifier" | "filtered" | "none";

/**
 * Wrong models, each with one rule changed. They show that the tests see the rule.
 *
 * @public
 */
export const MUTANTS = [
  "invalidation-has-no-effect",
  "broadcast-stays-local",
  "dsb-does-not-wait",
  "no-tlb",
  "read-only-is-never-cached",
  "upgrade-drops-weaker-entries",
  "invalidation-flushes-everything",
  "invalid-is-cached",
  "cached-must-be-used",
] as const;

/** One of {@link MUTANTS}. */
export type Mutant = (typeof MUTANTS)[number];

/**
 * How a litmus test is run.
 *
 * @public
 */
export interface LitmusRules {
  /** @defaultValue "btm" */
  readonly agents?: Agents;
  /** @defaultValue none */
  readonly mutant?: Mutant;
  /** States after which the test is given up. @defaultValue 1 million */
  readonly maxStates?: number;
}
