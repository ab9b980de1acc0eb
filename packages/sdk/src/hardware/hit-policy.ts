import { choose, type Path } from "@mmu-notifier/steps";

/**
 * What hardware does with a cached entry that lacks the right which an access wants.
 *
 * - `fault-from-tlb`: reports the fault without looking at the page table (QEMU's SMMU, the RISC-V model's first stage).
 * - `rewalk-on-permission-fault`: drops the entry and walks; only what the walk finds can fault (x86).
 * - `drop-and-fault`: reports the fault and drops the entry.
 * - `nondeterministic`: either of the first two, for each access anew; what the Arm architecture allows. A straight run
 *   takes the first.
 *
 * A hit that ignores rights is no policy: it breaks write protection.
 */
export type HitPolicy = "fault-from-tlb" | "rewalk-on-permission-fault" | "drop-and-fault" | "nondeterministic";

/** The policies, for option checks and lists. */
export const HIT_POLICIES: readonly HitPolicy[] = [
  "fault-from-tlb",
  "rewalk-on-permission-fault",
  "drop-and-fault",
  "nondeterministic",
];

const EITHER = choose("hit policy", 2);

/** The policy of this access: draws where the hardware is free. */
export function* drawHitPolicy(policy: HitPolicy): Path<Exclude<HitPolicy, "nondeterministic">> {
  if (policy !== "nondeterministic") return policy;
  return (yield EITHER) === 0 ? "fault-from-tlb" : "rewalk-on-permission-fault";
}
