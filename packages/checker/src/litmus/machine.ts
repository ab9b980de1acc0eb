import type { LitmusRules } from "./rules.js";
import { EntryCache } from "./entry-cache.js";
import { type Instruction, type LitmusTest, type Operand, UnsupportedError } from "./test.js";
import {
  ACCESSED,
  DBM,
  entryOf,
  isAddress,
  isEntry,
  isEntryAddress,
  isNumber,
  isPage,
  locationOf,
  outputOf,
  pageOf,
  VALID,
  type Value,
  WRITE,
} from "./values.js";

/** Reasons of a fault, in the order they are checked. */
const FAULTS = ["Translation", "AccessFlag", "Permission"] as const;

const TRANSLATION = 0;
const ACCESS_FLAG = 1;
const PERMISSION = 2;
/** Bits of a fault word below the location: the reason and 1. */
const REASON_BITS = 2;
/** Local instructions an agent may run through between two steps that others see. */
const LONGEST_LOCAL_RUN = 1000;

/** Where things lie in the row of words that a state of the machine is. */
interface Layout {
  readonly words: number;
  readonly pc: (agent: number) => number;
  readonly fault: (agent: number) => number;
  /** The result of the last comparison. */
  readonly equal: (agent: number) => number;
  readonly register: (agent: number, register: number) => number;
  readonly memory: number;
}

/**
 * The machine a litmus test runs on: steps in one order for all agents, but a TLB for each agent that may hold any entry that was
 * valid since its last completed invalidation, invalidations that are issued and completed apart, and hardware updates of the
 * access flag and the dirty state that are atomic on the entry in memory.
 */
export class LitmusMachine {
  readonly test: LitmusTest;
  readonly layout: Layout;
  /** The state in work. */
  readonly row: Int32Array;
  readonly #cache: EntryCache;
  readonly #labels: readonly ReadonlyMap<string, number>[];

  constructor(test: LitmusTest, rules: LitmusRules) {
    this.test = test;
    const agents = test.agents.length;
    const used = test.agents.map((instructions, agent) => registersOf(test, instructions, agent));
    let at = 3 * agents;
    const registers = used.map((numbers) => new Map(numbers.map((register) => [register, at++])));
    const memory = at;
    at += test.locations.length;
    this.#cache = new EntryCache(test, rules, at);
    this.row = new Int32Array(at + this.#cache.words);
    this.layout = {
      words: this.row.length,
      pc: (agent) => 3 * agent,
      fault: (agent) => 3 * agent + 1,
      equal: (agent) => 3 * agent + 2,
      register: (agent, register) => registers[agent]!.get(register) ?? -1,
      memory,
    };
    this.#labels = test.agents.map(
      (instructions) => new Map(instructions.flatMap(({ labels }, i) => labels.map((label) => [label, i]))),
    );
    this.row.set(test.memory, memory);
    for (const [agent, register, value] of test.registers) this.#setRegister(agent, register, value);
    this.#cache.reset(this.row);
    for (let agent = 0; agent < agents; agent++) this.#runOn(agent);
  }

  get agents(): number {
    return this.test.agents.length;
  }

  register(row: Int32Array, agent: number, register: number): Value {
    const at = this.layout.register(agent, register);
    return at < 0 ? 0 : row[at]!;
  }

  entry(row: Int32Array, location: number): Value {
    return this.#cache.current(row, location);
  }

  /** The fault that ended `agent`: instruction, location and reason; undefined when there was none. */
  faultOf(
    row: Int32Array,
    agent: number,
  ): { readonly instruction: Instruction; readonly location: number; readonly reason: string } | undefined {
    const fault = row[this.layout.fault(agent)]!;
    if (fault === 0) return undefined;
    const instruction = this.test.agents[agent]![row[this.layout.pc(agent)]!]!;
    return { instruction, location: fault >> REASON_BITS, reason: FAULTS[(fault & 3) - 1]! };
  }

  isOver(row: Int32Array, agent: number): boolean {
    return row[this.layout.fault(agent)] !== 0 || row[this.layout.pc(agent)]! >= this.test.agents[agent]!.length;
  }

  /**
   * Lists every state that follows `from`: for each, the state is left in {@link row} and `found` is called with what happened.
   */
  successors(from: Int32Array, found: (what: string) => void): void {
    const { row } = this;
    for (let agent = 0; agent < this.agents; agent++) {
      if (this.isOver(from, agent)) continue;
      const instruction = this.test.agents[agent]![from[this.layout.pc(agent)]!]!;
      const done = (how = ""): void => found(`P${agent}: ${instruction.text}${how}`);
      row.set(from);
      this.#execute(agent, instruction, from, done);
    }
    this.#cache.completions(from, row, found);
  }

  #execute(agent: number, instruction: Instruction, from: Int32Array, done: (how?: string) => void): void {
    const { row } = this;
    switch (instruction.kind) {
      case "load":
      case "store":
      case "swap":
        this.#access(agent, instruction, from, done);
        return;
      case "invalidate": {
        const page = instruction.page === undefined ? undefined : this.register(row, agent, instruction.page);
        // An operand that is no page number names some other page: nothing that the test looks at is invalidated.
        if (page === undefined || isPage(page))
          this.#cache.issue(
            row,
            agent,
            page === undefined ? undefined : locationOf(page),
            instruction.scope === "local",
          );
        break;
      }
      case "dsb":
        if (isFull(instruction.type) && this.#cache.mustWait(from, agent)) return;
        break;
      case "set":
      case "page":
      case "alu":
      case "dmb":
      case "isb":
      case "nop":
      case "compare":
      case "set-if":
      case "jump":
        this.#local(agent, instruction);
        this.#runOn(agent);
        done();
        return;
    }
    this.#next(agent);
    done();
  }

  #access(
    agent: number,
    instruction: Instruction & { kind: "load" | "store" | "swap" },
    from: Int32Array,
    done: (how?: string) => void,
  ): void {
    const { row } = this;
    const address = this.register(from, agent, instruction.address);
    const location = locationOf(address);
    const value =
      instruction.kind === "load" || instruction.value === undefined
        ? 0
        : this.register(from, agent, instruction.value);
    if (isEntryAddress(address)) {
      const before = this.#cache.current(row, location);
      if (instruction.kind !== "load") this.#cache.write(row, location, this.#asEntry(value, location));
      if (instruction.kind !== "store") this.#setRegister(agent, instruction.to, before);
      this.#next(agent);
      done();
      return;
    }
    if (!isAddress(address))
      throw new UnsupportedError(this.test.name, `P${agent} accesses memory through a register that holds no address`);
    const writes = instruction.kind !== "load";
    for (const { entry, walked } of this.#cache.translations(from, agent, location)) {
      row.set(from);
      const how = walked ? " (walk)" : " (TLB)";
      const fault = this.#translate(agent, location, entry, walked, writes);
      if (fault === "retry") continue;
      if (fault !== undefined) {
        row.set(from);
        row[this.layout.fault(agent)] = (location << REASON_BITS) | (fault + 1);
        done(`${how}: ${FAULTS[fault]} fault`);
        continue;
      }
      const cell = this.layout.memory + outputOf(entry);
      const before = row[cell]!;
      if (writes) row[cell] = value;
      if (instruction.kind !== "store") this.#setRegister(agent, instruction.to, before);
      this.#next(agent);
      done(how);
    }
  }

  /** Checks rights and lets the hardware update the entry; the reason of a fault, or "retry" when a cached entry is out of date. */
  #translate(
    agent: number,
    location: number,
    entry: Value,
    walked: boolean,
    writes: boolean,
  ): number | "retry" | undefined {
    const { accessFlag, dirty } = this.test.hardware[agent]!;
    if ((entry & VALID) === 0) return TRANSLATION;
    let updated = entry;
    if ((entry & ACCESSED) === 0) {
      if (!accessFlag) return ACCESS_FLAG;
      updated |= ACCESSED;
    }
    if (writes && (entry & WRITE) === 0) {
      if ((entry & DBM) === 0 || !dirty) return PERMISSION;
      updated |= WRITE;
    }
    if (updated === entry) return undefined;
    // Hardware changes the entry in memory, not its copy: it must still be the one that was read.
    if (!walked && this.#cache.current(this.row, location) !== entry) return "retry";
    this.#cache.write(this.row, location, updated);
    return undefined;
  }

  #asEntry(value: Value, location: number): Value {
    if (isEntry(value)) return value;
    if (value === 0) return entryOf({ output: location, valid: false, accessed: false, write: false, dbm: false });
    throw new UnsupportedError(this.test.name, "a page-table entry is overwritten by a number");
  }

  #next(agent: number): void {
    this.row[this.layout.pc(agent)]!++;
    this.#runOn(agent);
  }

  /** Runs the instructions that nobody else can see. */
  #runOn(agent: number): void {
    const pc = this.layout.pc(agent);
    const instructions = this.test.agents[agent]!;
    for (let i = 0; i < LONGEST_LOCAL_RUN; i++) {
      const instruction = instructions[this.row[pc]!];
      if (instruction === undefined || !this.#local(agent, instruction)) return;
    }
    throw new UnsupportedError(this.test.name, `P${agent} loops without a memory access`);
  }

  /** Runs one instruction if it is local. */
  #local(agent: number, instruction: Instruction): boolean {
    const { row } = this;
    const pc = this.layout.pc(agent);
    let next = row[pc]! + 1;
    switch (instruction.kind) {
      case "set":
        this.#setRegister(agent, instruction.to, this.#operand(agent, instruction.value));
        break;
      case "page": {
        const address = this.register(row, agent, instruction.address);
        this.#setRegister(agent, instruction.to, isAddress(address) ? pageOf(locationOf(address)) : 0);
        break;
      }
      case "alu":
        this.#setRegister(
          agent,
          instruction.to,
          this.#compute(
            instruction.operation,
            this.register(row, agent, instruction.left),
            this.#operand(agent, instruction.right),
          ),
        );
        break;
      case "compare":
        row[this.layout.equal(agent)] =
          this.register(row, agent, instruction.left) === this.#operand(agent, instruction.right) ? 1 : 0;
        break;
      case "set-if":
        this.#setRegister(agent, instruction.to, (row[this.layout.equal(agent)] === 1) === instruction.equal ? 1 : 0);
        break;
      case "jump":
        if (this.#jumps(agent, instruction)) next = this.#target(agent, instruction.target);
        break;
      case "dmb":
      case "isb":
      case "nop":
        break;
      default:
        return false;
    }
    row[pc] = next;
    return true;
  }

  #jumps(agent: number, { when, register }: Instruction & { kind: "jump" }): boolean {
    const equal = this.row[this.layout.equal(agent)] === 1;
    switch (when) {
      case "always":
        return true;
      case "equal":
        return equal;
      case "not-equal":
        return !equal;
      case "zero":
        return this.register(this.row, agent, register) === 0;
      case "non-zero":
        return this.register(this.row, agent, register) !== 0;
    }
  }

  #target(agent: number, label: string): number {
    const target = this.#labels[agent]!.get(label);
    if (target === undefined)
      throw new UnsupportedError(this.test.name, `P${agent} jumps to ${label}, which is not in it`);
    return target;
  }

  #operand(agent: number, operand: Operand): Value {
    return "register" in operand ? this.register(this.row, agent, operand.register) : operand.number;
  }

  #compute(operation: "ADD" | "AND" | "EOR", left: Value, right: Value): Value {
    if (operation === "EOR" && left === right) return 0;
    if (operation === "ADD" && left === 0) return right;
    if (operation === "ADD" && right === 0) return left;
    if (operation === "AND" && (left === 0 || right === 0)) return 0;
    if (isNumber(left) && isNumber(right)) {
      if (operation === "ADD") return left + right;
      return operation === "AND" ? left & right : left ^ right;
    }
    if (operation === "AND" && isEntry(left) && right === 1) return left & VALID;
    throw new UnsupportedError(this.test.name, `${operation} of an address or an entry`);
  }

  #setRegister(agent: number, register: number, value: Value): void {
    const at = this.layout.register(agent, register);
    if (at >= 0) this.row[at] = value;
  }
}

/** Only a barrier for loads and stores waits for invalidations. */
function isFull(type: string): boolean {
  return !type.endsWith("LD") && !type.endsWith("ST");
}

function registersOf(test: LitmusTest, instructions: readonly Instruction[], agent: number): number[] {
  const numbers = new Set<number>();
  for (const [of, register] of test.registers) if (of === agent) numbers.add(register);
  for (const instruction of instructions) {
    if ("to" in instruction) numbers.add(instruction.to);
  }
  return [...numbers].sort((a, b) => a - b);
}
