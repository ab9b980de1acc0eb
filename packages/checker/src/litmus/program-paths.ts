import { type AluOperation, type Instruction, type LitmusTest, type Operand, UnsupportedError } from "./test.js";
import {
  DESCRIPTOR_MASK,
  descriptorBits,
  isAddress,
  isEntry,
  isNumber,
  locationOf,
  pageOf,
  type Value,
  withDescriptorBits,
} from "./values.js";

/** Where an operand comes from: an instruction of the path that writes the register, or a value. */
export type Source = { readonly from: number } | { readonly value: Value };

/** One instruction of a path, with where its operands come from. */
export interface PathStep {
  readonly instruction: Instruction;
  /** The address of an access, the page of an invalidation. */
  readonly address: Source | undefined;
  /** What is added to the address. */
  readonly index: Source | undefined;
  /** What has to be known before the address is. */
  readonly after: readonly Source[];
  /** What is stored, moved or computed with, in the order of the instruction. */
  readonly values: readonly Source[];
  /** What the register that is written held before; undefined when none is written. */
  readonly before: Source | undefined;
}

/** A conditional jump, and whether this path takes it. */
export interface Decision {
  /** The step that the condition is known before. */
  readonly at: number;
  readonly value: Source;
  readonly compared: Source;
  readonly equal: boolean;
  /** False when both ways go on at the same instruction: nothing is decided, but later stores wait for the condition. */
  readonly matters: boolean;
}

/** One way through the instructions of an agent. */
export interface ProgramPath {
  readonly steps: readonly PathStep[];
  readonly decisions: readonly Decision[];
  /** What every register holds at the end. */
  readonly registers: ReadonlyMap<number, Source>;
}

/** Steps of one path: they are numbered by the bits of a word. */
const MOST_STEPS = 30;
/** Paths of one agent. */
const MOST_PATHS = 64;
/** A jump back is followed so often: as herd does. */
const UNROLLED = 2;
/** The zero register: reads as 0, and what is written to it is lost. */
export const NO_REGISTER = 31;

/** What an agent has come to while its paths are listed. */
interface Way {
  readonly pc: number;
  readonly steps: readonly PathStep[];
  readonly decisions: readonly Decision[];
  readonly registers: ReadonlyMap<number, Source>;
  readonly flags: { readonly left: Source; readonly right: Source };
  readonly jumpsBack: number;
}

/** Pages have 4 KiB. */
const PAGE_SHIFT = 12;
const ZERO: Source = { value: 0 };

/**
 * Every way through the instructions of an agent. Jumps decide which one is taken, so that the order of the rest is the same in
 * every run of a path.
 *
 * @throws UnsupportedError LITMUS_UNSUPPORTED when there are too many, or one is too long.
 */
export function pathsOf(test: LitmusTest, agent: number): ProgramPath[] {
  return new PathFinder(test, agent).all();
}

class PathFinder {
  readonly #test: LitmusTest;
  readonly #instructions: readonly Instruction[];
  readonly #labels: ReadonlyMap<string, number>;
  readonly #agent: number;
  readonly #found: ProgramPath[] = [];

  constructor(test: LitmusTest, agent: number) {
    this.#test = test;
    this.#agent = agent;
    this.#instructions = test.agents[agent]!;
    this.#labels = new Map(this.#instructions.flatMap(({ labels }, i) => labels.map((label) => [label, i])));
  }

  all(): ProgramPath[] {
    const registers = new Map<number, Source>();
    for (const [agent, register, value] of this.#test.registers)
      if (agent === this.#agent) registers.set(register, { value });
    this.#follow({
      pc: 0,
      steps: [],
      decisions: [],
      registers,
      flags: { left: ZERO, right: ZERO },
      jumpsBack: 0,
    });
    return this.#found;
  }

  #follow(way: Way): void {
    const instruction = this.#instructions[way.pc];
    if (instruction === undefined) {
      if (this.#found.length === MOST_PATHS) throw this.#unsupported(`more than ${MOST_PATHS} ways through its jumps`);
      this.#found.push({ steps: way.steps, decisions: way.decisions, registers: way.registers });
    } else if (instruction.kind === "jump") this.#jump(way, instruction);
    else this.#follow(this.#step(way, instruction));
  }

  #jump(way: Way, instruction: Instruction & { kind: "jump" }): void {
    const target = this.#labels.get(instruction.target);
    if (target === undefined) throw this.#unsupported(`a jump to ${instruction.target}, which is not in it`);
    const jumpsBack = way.jumpsBack + (target <= way.pc ? 1 : 0);
    const { when } = instruction;
    if (when === "always") {
      if (jumpsBack <= UNROLLED) this.#follow({ ...way, pc: target, jumpsBack });
      return;
    }
    const flags = when === "equal" || when === "not-equal";
    const value = flags ? way.flags.left : read(way.registers, instruction.register);
    const compared = flags ? way.flags.right : ZERO;
    const whenEqual = when === "equal" || when === "zero";
    const decide = (taken: boolean): Way => ({
      ...way,
      pc: taken ? target : way.pc + 1,
      jumpsBack: taken ? jumpsBack : way.jumpsBack,
      decisions: [
        ...way.decisions,
        { at: way.steps.length, value, compared, equal: taken === whenEqual, matters: target !== way.pc + 1 },
      ],
    });
    this.#follow(decide(false));
    if (target !== way.pc + 1 && jumpsBack <= UNROLLED) this.#follow(decide(true));
  }

  #step(way: Way, instruction: Instruction): Way {
    if (way.steps.length === MOST_STEPS) throw this.#unsupported(`more than ${MOST_STEPS} instructions in a row`);
    const { registers } = way;
    const at = (register: number): Source => read(registers, register);
    const operand = (of: Operand): Source => ("register" in of ? at(of.register) : { value: of.number });
    const next = (address: Source | undefined, values: readonly Source[], to?: number): Way => {
      const before = to === undefined ? undefined : at(to);
      const index = "index" in instruction && instruction.index !== undefined ? at(instruction.index) : undefined;
      const after = "after" in instruction ? (instruction.after ?? []).map((register) => at(register)) : [];
      const steps = [...way.steps, { instruction, address, index, after, values, before }];
      const written = to === undefined || to === NO_REGISTER ? registers : new Map(registers);
      if (written !== registers) (written as Map<number, Source>).set(to!, { from: way.steps.length });
      return { ...way, pc: way.pc + 1, steps, registers: written };
    };
    switch (instruction.kind) {
      case "load":
        return next(at(instruction.address), [], instruction.to);
      case "store":
        return next(at(instruction.address), [instruction.value === undefined ? ZERO : at(instruction.value)]);
      case "swap":
        return next(at(instruction.address), [at(instruction.value)], instruction.to);
      case "invalidate":
        return next(instruction.page === undefined ? undefined : at(instruction.page), []);
      case "set":
        return next(undefined, [operand(instruction.value)], instruction.to);
      case "shift":
        return next(undefined, [at(instruction.left), { value: instruction.by }], instruction.to);
      case "alu":
        return next(undefined, [at(instruction.left), operand(instruction.right)], instruction.to);
      case "set-if":
        return next(undefined, [way.flags.left, way.flags.right], instruction.to);
      case "compare":
        return {
          ...way,
          pc: way.pc + 1,
          flags: { left: at(instruction.left), right: operand(instruction.right) },
        };
      case "nop":
        return { ...way, pc: way.pc + 1 };
      default:
        return next(undefined, []);
    }
  }

  #unsupported(what: string): UnsupportedError {
    return new UnsupportedError(this.#test.name, `${what} (P${this.#agent})`);
  }
}

function read(registers: ReadonlyMap<number, Source>, register: number): Source {
  return (register === NO_REGISTER ? undefined : registers.get(register)) ?? ZERO;
}

/**
 * What an instruction that touches no memory computes.
 *
 * @throws UnsupportedError LITMUS_UNSUPPORTED for arithmetic on addresses and entries that has no meaning here.
 */
export function compute(test: string, instruction: Instruction, values: readonly Value[]): Value {
  const [left = 0, right = 0] = values;
  switch (instruction.kind) {
    case "set":
      return left;
    case "shift":
      if (isNumber(left)) return left >>> right;
      if (right === PAGE_SHIFT) return isAddress(left) ? pageOf(locationOf(left)) : 0;
      throw new UnsupportedError(test, `a shift of an address or an entry by ${right}`);
    case "set-if":
      return (left === right) === instruction.equal ? 1 : 0;
    case "alu":
      return arithmetic(test, instruction.operation, left, right);
    default:
      return 0;
  }
}

const NUMBERS: Readonly<Record<AluOperation, (left: number, right: number) => number>> = {
  ADD: (left, right) => left + right,
  SUB: (left, right) => left - right,
  AND: (left, right) => left & right,
  BIC: (left, right) => left & ~right,
  ORR: (left, right) => left | right,
  EOR: (left, right) => left ^ right,
  LSL: (left, right) => left << right,
};

/** Arithmetic on two values. */
export function arithmetic(test: string, operation: AluOperation, left: Value, right: Value): Value {
  if (isNumber(left) && isNumber(right)) {
    const result = NUMBERS[operation](left, right);
    if (isNumber(result)) return result;
    throw new UnsupportedError(test, `numbers of more than 24 bits`);
  }
  if (operation === "EOR" && left === right) return 0;
  if (operation === "ADD" && left === 0) return right;
  if (right === 0) return operation === "AND" ? 0 : left;
  if (operation === "AND" && left === 0) return 0;
  // The bits of an entry that have a place here.
  if (isEntry(left) && isNumber(right) && (right & ~DESCRIPTOR_MASK) === 0) {
    const bits = NUMBERS[operation](descriptorBits(left), right);
    if (operation === "AND") return bits;
    if (operation === "BIC" || operation === "ORR" || operation === "EOR") return withDescriptorBits(left, bits);
  }
  throw new UnsupportedError(test, `${operation} of an address or an entry`);
}
