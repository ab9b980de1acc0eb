import type { PathStep, ProgramPath, Source } from "./program-paths.js";
import type { Instruction } from "./test.js";

/**
 * What has to be done before a step of a path may take effect: bit masks of steps of the same path. This is Arm's
 * locally-ordered-before (DDI 0487, B2.3, with FEAT_ETS2), for the effects that virtual-memory tests have.
 */
export interface StepOrder {
  /** Loads that the address and the value are computed from. */
  readonly addressLoads: number;
  readonly valueLoads: number;
  /** Before the entry is read. */
  readonly beforeTranslation: number;
  /** Besides, before hardware updates the entry. */
  readonly beforeUpdate: number;
  /** Besides, before a fault. */
  readonly beforeFault: number;
  /** Besides, before an entry that no TLB holds faults. */
  readonly beforeUncachedFault: number;
  /** Before the load, the store, the invalidation; for a barrier: before it is over. */
  readonly before: number;
  /** A store, a barrier that waits for it, or ISB: every translation of an earlier step is done first. */
  readonly afterTranslations: boolean;
}

const reads = (instruction: Instruction): boolean => instruction.kind === "load" || instruction.kind === "swap";
const writes = (instruction: Instruction): boolean => instruction.kind === "store" || instruction.kind === "swap";
export const isAccess = (instruction: Instruction): boolean => reads(instruction) || writes(instruction);
const isRelease = (instruction: Instruction): boolean => writes(instruction) && (instruction as Release).release;
type Release = Instruction & { readonly kind: "store" | "swap" };

/** Which accesses a barrier is for. */
function barrierKind(type: string): "all" | "loads" | "stores" {
  if (type.endsWith("LD")) return "loads";
  return type.endsWith("ST") ? "stores" : "all";
}

/** True for DSB that waits for invalidations too. */
export function waitsForInvalidations(instruction: Instruction): boolean {
  return instruction.kind === "dsb" && barrierKind(instruction.type) === "all";
}

/** The loads that a source is computed from. */
export function loadsOf(steps: readonly PathStep[], source: Source | undefined): number {
  if (source === undefined || "value" in source) return 0;
  const step = steps[source.from]!;
  // What an access that faults leaves in the register comes from before.
  if (reads(step.instruction)) return (1 << source.from) | loadsOf(steps, step.before);
  return step.values.reduce((loads, value) => loads | loadsOf(steps, value), 0);
}

/** The order of every step of a path. */
export function localOrder({ steps, decisions }: ProgramPath): StepOrder[] {
  const orders: StepOrder[] = [];
  steps.forEach(({ instruction, address, index, after, values }, i) => {
    const earlier = (wanted: (instruction: Instruction) => boolean): number =>
      steps.reduce((mask, step, j) => (j < i && wanted(step.instruction) ? mask | (1 << j) : mask), 0);
    const barriers = (kind: "dsb" | "dmb", types: readonly string[]): number =>
      earlier((other) => other.kind === kind && types.includes(barrierKind(other.type)));
    const accesses = earlier(isAccess);
    const conditions = decisions.reduce(
      (mask, { at, value, compared }) => (at <= i ? mask | loadsOf(steps, value) | loadsOf(steps, compared) : mask),
      0,
    );
    const addresses = orders.reduce((mask, order) => mask | order.addressLoads, 0);
    const synchronized = barriers("dsb", ["all", "loads", "stores"]) | earlier((other) => other.kind === "isb");
    const addressLoads = [address, index, ...after].reduce((mask, source) => mask | loadsOf(steps, source), 0);
    const valueLoads = values.reduce((mask, value) => mask | loadsOf(steps, value), 0);
    const isStore = writes(instruction);
    let before = synchronized;
    switch (instruction.kind) {
      case "load":
      case "store":
      case "swap":
        before |= addressLoads | barriers("dmb", ["all"]) | earlier(isAcquire);
        before |= barriers("dmb", isStore ? ["loads", "stores"] : ["loads"]);
        if (isStore) before |= valueLoads | conditions | addresses;
        if (isRelease(instruction)) before |= accesses;
        if (isAcquire(instruction) && !isAcquirePc(instruction)) before |= earlier(isRelease);
        break;
      case "invalidate":
        before |= addressLoads | conditions;
        break;
      case "dsb":
      case "dmb": {
        const kind = barrierKind(instruction.type);
        if (kind === "all") before |= accesses;
        if (kind === "loads") before |= earlier(reads);
        if (kind === "stores") before |= earlier(writes);
        if (waitsForInvalidations(instruction)) before |= earlier((other) => other.kind === "invalidate");
        break;
      }
      case "isb":
        before |= conditions | addresses;
        break;
      default:
        before = 0;
    }
    orders.push({
      addressLoads,
      valueLoads,
      before,
      beforeTranslation: synchronized | addressLoads,
      beforeUpdate: conditions | addresses | addressLoads,
      beforeFault: earlier((other) => other.kind === "dmb" || isAcquire(other)),
      beforeUncachedFault: accesses,
      afterTranslations: isStore || instruction.kind === "isb" || waitsForInvalidations(instruction),
    });
  });
  return orders;
}

function isAcquire(instruction: Instruction): boolean {
  if (instruction.kind === "load") return instruction.order !== "plain";
  return instruction.kind === "swap" && instruction.acquire;
}

/** LDAPR may overtake an earlier store-release. */
function isAcquirePc(instruction: Instruction): boolean {
  return instruction.kind === "load" && instruction.order === "acquire-pc";
}
