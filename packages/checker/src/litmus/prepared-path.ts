import { isAccess, loadsOf, localOrder, type StepOrder } from "./local-order.js";
import { compute, type Decision, type PathStep, pathsOf, type ProgramPath, type Source } from "./program-paths.js";
import type { Instruction, LitmusTest } from "./test.js";
import { ACCESSED, isAddress, isEntryAddress, locationOf, PRIVILEGED, VALID, type Value, WRITE } from "./values.js";

/** A path with what is known of it before it runs. */
export interface PreparedPath extends ProgramPath {
  readonly order: readonly StepOrder[];
  /** Steps that have to be over at the end: a bit for each. */
  readonly all: number;
  /** Accesses and invalidations: a fault before them must not find them done. */
  readonly visible: number;
  readonly checks: readonly (Decision & { readonly loads: number })[];
}

/** The paths of every agent. */
export function preparedPaths(test: LitmusTest): PreparedPath[][] {
  return test.agents.map((_, agent) => pathsOf(test, agent).map((path) => prepared(path)));
}

function prepared(path: ProgramPath): PreparedPath {
  const { steps, decisions } = path;
  const mask = (wanted: (instruction: Instruction) => boolean): number =>
    steps.reduce((bits, { instruction }, i) => (wanted(instruction) ? bits | (1 << i) : bits), 0);
  const visible = mask((instruction) => isAccess(instruction) || instruction.kind === "invalidate");
  const checks: (Decision & { readonly loads: number })[] = [];
  for (const decision of decisions) {
    if (!decision.matters) continue;
    checks.push({ ...decision, loads: loadsOf(steps, decision.value) | loadsOf(steps, decision.compared) });
  }
  return {
    ...path,
    order: localOrder(path),
    visible,
    all: visible | mask(({ kind }) => kind === "dsb" || kind === "dmb" || kind === "isb"),
    checks,
  };
}

/** Agents with an access that may go through the entry of `location`: a bit for each. */
export function usersOf(test: LitmusTest, paths: readonly (readonly PreparedPath[])[], location: number): number {
  let users = 0;
  paths.forEach((ways, agent) => {
    if (accesses(test, ways, (value) => isAddress(value) && locationOf(value) === location)) users |= 1 << agent;
  });
  return users;
}

/** True when the entry of `location` is never stored to and lets every access through: there is nothing to choose. */
export function isStable(test: LitmusTest, paths: readonly (readonly PreparedPath[])[], location: number): boolean {
  const entry = test.entries[location]!;
  if ((entry & VALID) === 0 || (entry & ACCESSED) === 0 || (entry & WRITE) === 0) return false;
  if ((entry & PRIVILEGED) !== 0) return false;
  const isStored = (value: Value, { kind }: Instruction): boolean =>
    kind !== "load" && isEntryAddress(value) && locationOf(value) === location;
  return !paths.some((ways) => accesses(test, ways, isStored));
}

/** True when some access has an address that is `wanted`, or one that is loaded and may be anything. */
function accesses(
  test: LitmusTest,
  ways: readonly PreparedPath[],
  wanted: (address: Value, instruction: Instruction) => boolean,
): boolean {
  return ways.some(({ steps }) =>
    steps.some(({ instruction, address }) => {
      if (!isAccess(instruction)) return false;
      return loadsOf(steps, address) !== 0 || wanted(constant(test.name, steps, address!), instruction);
    }),
  );
}

/** The value of a source that no load feeds. */
function constant(test: string, steps: readonly PathStep[], source: Source): Value {
  if ("value" in source) return source.value;
  const { instruction, values } = steps[source.from]!;
  return compute(
    test,
    instruction,
    values.map((value) => constant(test, steps, value)),
  );
}
