import type { Condition, LitmusHardware, Instruction, LitmusTest, Operand } from "./test.js";
import { LitmusSyntaxError, UnsupportedError } from "./test.js";
import { addressOf, entryAddressOf, entryOf, type Value } from "./values.js";

/** An entry in the JSON form; what is left out is as in a valid, accessed, writable entry. */
interface JsonEntry {
  readonly oa: string | null;
  readonly valid: number;
  readonly af: number;
  readonly write: number;
  readonly dbm?: number;
  readonly el0?: number;
}

type JsonValue = number | { readonly va: string } | { readonly pte: string | JsonEntry };
type JsonOperation = readonly [string, ...(number | string | null | { readonly r: number })[]];
type JsonCondition = readonly [string, ...unknown[]];

/** One test of the JSON form of the suite. */
export interface JsonTest {
  readonly name: string;
  readonly verdict?: { readonly base: string | null; readonly ets2: string | null };
  readonly init: {
    readonly mem: Readonly<Record<string, JsonValue>>;
    readonly pte: Readonly<Record<string, JsonEntry>>;
    readonly regs: Readonly<Record<string, JsonValue>>;
  };
  readonly threads: readonly {
    readonly ops: readonly (JsonOperation | { readonly label: readonly string[]; readonly op: JsonOperation | null })[];
    readonly endLabels?: readonly string[];
  }[];
  readonly cond: JsonCondition;
  readonly httu?: string;
  readonly outcomes?: {
    readonly base?: readonly (readonly string[])[];
    readonly ets2?: readonly (readonly string[])[];
  };
}

/**
 * Reads a test of the JSON form. What is observed is what its recorded outcomes show.
 *
 * @throws UnsupportedError LITMUS_UNSUPPORTED for EL0 rights and instructions this model does not have.
 * @public
 */
export function litmusFromJson(json: JsonTest): LitmusTest {
  return new JsonReader(json).read();
}

class JsonReader {
  readonly #json: JsonTest;
  readonly #names: string[] = [];

  constructor(json: JsonTest) {
    this.#json = json;
  }

  read(): LitmusTest {
    const { name, init, threads, cond } = this.#json;
    // The JSON form leaves handlers out; only the name of such a test says that there is one.
    if (name.includes("Handled")) throw new UnsupportedError(name, "a fault handler");
    for (const of of [init.mem, init.pte]) for (const location of Object.keys(of)) this.#location(location);
    const registers = Object.entries(init.regs).map(([key, value]) => {
      const [agent, register] = key.split(":").map(Number);
      return [agent!, register!, this.#value(value)] as const;
    });
    const agents = threads.map((thread) => this.#agent(thread));
    const condition = this.#condition(cond[1] as JsonCondition);
    const shown = this.#shown();
    const memory = this.#names.map((location) =>
      init.mem[location] === undefined ? 0 : this.#value(init.mem[location]),
    );
    // Entries may name locations that nothing else does.
    const entries: Value[] = [];
    for (let l = 0; l < this.#names.length; l++) entries.push(this.#entry(init.pte[this.#names[l]!] ?? DEFAULT, l));
    while (memory.length < this.#names.length) memory.push(0);
    return {
      name,
      locations: this.#names,
      memory,
      entries,
      registers,
      agents,
      hardware: threads.map((_, agent) => this.#hardware(agent)),
      faults: "fatal",
      quantifier: cond[0] as LitmusTest["quantifier"],
      condition,
      shown,
    };
  }

  #location(name: string): number {
    const known = this.#names.indexOf(name);
    return known >= 0 ? known : this.#names.push(name) - 1;
  }

  #value(value: JsonValue): Value {
    if (typeof value === "number") return value;
    if ("va" in value) return addressOf(this.#location(value.va));
    return typeof value.pte === "string" ? entryAddressOf(this.#location(value.pte)) : this.#entry(value.pte, 0);
  }

  #entry(entry: JsonEntry, own: number): Value {
    if (entry.el0 !== undefined) throw new UnsupportedError(this.#json.name, "rights of EL0");
    return entryOf({
      output: entry.oa === null ? own : this.#location(entry.oa),
      valid: entry.valid === 1,
      accessed: entry.af === 1,
      write: entry.write === 1,
      dbm: entry.dbm === 1,
      privileged: false,
    });
  }

  #hardware(agent: number): LitmusHardware {
    const words = (this.#json.httu ?? "").split(" ");
    const has = (feature: string): boolean => words.includes(feature) || words.includes(`P${agent}:${feature}`);
    // Hardware that manages the dirty state manages the access flag too.
    return { accessFlag: has("HA") || has("HD"), dirty: has("HD"), user: false };
  }

  #agent({ ops, endLabels = [] }: JsonTest["threads"][number]): Instruction[] {
    const operations = ops.map((item) =>
      Array.isArray(item)
        ? { label: [], op: item as unknown as JsonOperation }
        : (item as { readonly label: readonly string[]; readonly op: JsonOperation | null }),
    );
    const index: number[] = [];
    const instructions = operations.map(({ label, op }, at) => {
      const instruction = this.#instruction(op ?? ["nop"], label, [...index]);
      const rest = operations.slice(at + 1).map(({ op: later }): JsonOperation => later ?? ["nop"]);
      if (instruction.kind === "alu" && !rest.some((later) => readsRegister(later, instruction.to)))
        index.push(instruction.to);
      return instruction;
    });
    if (endLabels.length > 0) instructions.push(this.#instruction(["nop"], endLabels, []));
    return instructions;
  }

  #instruction([kind, ...operands]: JsonOperation, labels: readonly string[], after: readonly number[]): Instruction {
    const text = [
      kind,
      ...operands.map((operand) => (typeof operand === "object" ? JSON.stringify(operand) : operand)),
    ].join(" ");
    const number = (at: number): number => operands[at] as number;
    const common = { labels, text };
    switch (kind) {
      case "set":
        return { ...common, kind, to: number(0), value: operandOf(operands[1]) };
      case "page":
        return { ...common, kind: "shift", to: number(0), left: number(1), by: 12 };
      case "alu":
        return {
          ...common,
          kind,
          operation: operands[0] as "ADD" | "AND" | "EOR",
          to: number(1),
          left: number(2),
          right: operandOf(operands[3]),
        };
      case "load":
        return {
          ...common,
          kind,
          order: LOADS[operands[2] as string] ?? "plain",
          to: number(0),
          address: number(1),
          after,
        };
      // This form does not say whether a store is a release: taken as one, nothing is allowed that Arm forbids.
      case "store":
        return {
          ...common,
          kind,
          release: true,
          value: operands[0] === null ? undefined : number(0),
          address: number(1),
          after,
        };
      case "swap":
        return {
          ...common,
          kind,
          operation: "SWP",
          acquire: true,
          release: true,
          value: number(0),
          to: number(1),
          address: number(2),
          after,
        };
      case "invalidate":
        return {
          ...common,
          kind,
          scope: operands[0] as "is" | "local",
          page: operands[1] === null ? undefined : number(1),
        };
      case "dsb":
      case "dmb":
        return { ...common, kind, type: operands[0] as string };
      case "isb":
      case "nop":
        return { ...common, kind };
      case "cmp":
        return { ...common, kind: "compare", left: number(0), right: operandOf(operands[1]) };
      case "setCond":
        return { ...common, kind: "set-if", to: number(0), equal: operands[1] === "EQ" };
      case "jumpIfZero":
        return { ...common, kind: "jump", when: "zero", register: number(0), target: operands[1] as string };
      case "jumpIfNonZero":
        return { ...common, kind: "jump", when: "non-zero", register: number(0), target: operands[1] as string };
      case "jumpIfEqual":
        return { ...common, kind: "jump", when: "equal", register: 0, target: operands[0] as string };
      case "jumpIfNotEqual":
        return { ...common, kind: "jump", when: "not-equal", register: 0, target: operands[0] as string };
      default:
        throw new UnsupportedError(this.#json.name, `instruction ${kind}`);
    }
  }

  #condition([kind, ...rest]: JsonCondition): Condition {
    switch (kind) {
      case "and":
      case "or":
        return { kind, parts: rest.map((part) => this.#condition(part as JsonCondition)) };
      case "not":
        return { kind, part: this.#condition(rest[0] as JsonCondition) };
      case "reg":
        return {
          kind: "register",
          agent: rest[0] as number,
          register: rest[1] as number,
          value: this.#value(rest[2] as JsonValue),
        };
      case "mem":
        return {
          kind: "memory",
          location: this.#location(rest[0] as string),
          value: this.#value(rest[1] as JsonValue),
        };
      case "pte": {
        const location = this.#location(rest[0] as string);
        const { pte } = rest[1] as { readonly pte: JsonEntry };
        return { kind: "entry", location, value: this.#entry(pte, location) };
      }
      case "fault": {
        const [agent, label, location, type] = rest as [number, string | null, string, string | null];
        return { kind, agent, label: label ?? undefined, location: this.#location(location), type: type ?? undefined };
      }
      default:
        throw new LitmusSyntaxError(
          "LITMUS_SYNTAX",
          `test ${this.#json.name}: a condition of kind "${kind}" is unknown`,
          { test: this.#json.name, kind },
        );
    }
  }

  /** What recorded outcomes show. */
  #shown(): Condition[] {
    const { ets2, base } = this.#json.outcomes ?? {};
    return ((ets2 ?? base)?.[0] ?? []).flatMap((item): Condition[] => {
      const register = /^(\d+):X(\d+)=/.exec(item);
      if (register !== null)
        return [{ kind: "register", agent: Number(register[1]), register: Number(register[2]), value: 0 }];
      const entry = /^\[PTE\((\w+)\)\]=/.exec(item);
      if (entry !== null) return [{ kind: "entry", location: this.#location(entry[1]!), value: 0 }];
      const memory = /^\[(\w+)\]=/.exec(item);
      if (memory !== null) return [{ kind: "memory", location: this.#location(memory[1]!), value: 0 }];
      const fault = /^~?Fault\(P(\d+)(?::(\w+))?,(\w+)(?:,MMU:(\w+))?/.exec(item);
      if (fault === null) return [];
      const [, agent, label, location, type] = fault;
      return [{ kind: "fault", agent: Number(agent), label, location: this.#location(location!), type }];
    });
  }
}

const DEFAULT: JsonEntry = { oa: null, valid: 1, af: 1, write: 1 };

/**
 * This form leaves out the index of an address. A register that is computed and never read was one: every later access is taken to
 * wait for it, so that nothing is allowed that Arm forbids.
 */
function readsRegister([kind, ...operands]: JsonOperation, register: number): boolean {
  const read: Readonly<Record<string, readonly number[]>> = {
    set: [1],
    page: [1],
    alu: [2, 3],
    load: [1],
    store: [0, 1],
    swap: [0, 2],
    invalidate: [1],
    cmp: [0, 1],
    jumpIfZero: [0],
    jumpIfNonZero: [0],
  };
  return (read[kind] ?? []).some((at) => {
    const operand = operands[at];
    if (typeof operand === "object" && operand !== null) return operand.r === register;
    // Where a number may be a constant, a register is written {r: number}.
    return operand === register && !(at === 1 && (kind === "set" || kind === "cmp")) && !(kind === "alu" && at === 3);
  });
}

const LOADS: Readonly<Record<string, "plain" | "acquire" | "acquire-pc">> = { LDAR: "acquire", LDAPR: "acquire-pc" };

function operandOf(operand: JsonOperation[number] | undefined): Operand {
  return typeof operand === "object" && operand !== null ? { register: operand.r } : { number: operand as number };
}
