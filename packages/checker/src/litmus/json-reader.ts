import * as v from "valibot";
import type {
  JsonCondition,
  JsonEntry,
  JsonOperand,
  JsonOperation,
  JsonTest,
  JsonValue,
  ParsedTest,
} from "./json-form.js";
import { jsonTest } from "./json-form.js";
import type { Condition, Instruction, LitmusHardware, LitmusTest, Operand } from "./test.js";
import { LitmusSyntaxError, UnsupportedError } from "./test.js";
import { addressOf, entryAddressOf, entryOf, type Value } from "./values.js";

/**
 * Reads a test of the JSON form. What is observed is what its recorded outcomes show.
 *
 * The form leaves out which stores are releases and which swaps are barriers, the index registers of addresses, and what a fault
 * does. Each is read so that nothing is allowed that Arm forbids: stores and swaps as the strongest of their kind, a register that is
 * computed and never read as an index of what follows, and faults as "unsaid".
 *
 * @throws LitmusSyntaxError LITMUS_SYNTAX for what has another form; UnsupportedError LITMUS_UNSUPPORTED for EL0 rights, handlers
 * and instructions this model does not have.
 * @public
 */
export function litmusFromJson(json: JsonTest): LitmusTest {
  return testOf(parseTest(json));
}

/** Checks the form of one test. */
export function parseTest(json: unknown): ParsedTest {
  const parsed = v.safeParse(jsonTest, json, { abortPipeEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const where = v.getDotPath(issue) ?? "the test";
  const called = typeof json === "object" && json !== null && "name" in json ? ` ${String(json.name)}` : "";
  throw new LitmusSyntaxError("LITMUS_SYNTAX", `litmus test${called}: ${where}: ${issue.message}`, { where });
}

/** The test that checked JSON describes. */
export function testOf(json: ParsedTest): LitmusTest {
  return new JsonReader(json).read();
}

class JsonReader {
  readonly #json: ParsedTest;
  readonly #names: string[] = [];

  constructor(json: ParsedTest) {
    this.#json = json;
  }

  read(): LitmusTest {
    const { name, init, threads, cond } = this.#json;
    // The form leaves handlers out; only the name of such a test says that there is one.
    if (/handled/i.test(name)) throw new UnsupportedError(name, "a fault handler");
    for (const of of [init.mem, init.pte]) for (const location of Object.keys(of)) this.#location(location);
    const registers = Object.entries(init.regs).map(([key, value]) => {
      const [agent, register] = key.split(":").map(Number);
      if (agent! >= threads.length) throw this.#error(`there is no P${agent}`);
      return [agent!, register!, this.#value(value)] as const;
    });
    const agents = threads.map((thread) => this.#agent(thread));
    const condition = this.#condition(cond[1]);
    const shown = this.#shown();
    const memory = this.#names.map((location) => this.#value(init.mem[location] ?? 0));
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
      faults: "unsaid",
      quantifier: cond[0],
      condition,
      shown,
    };
  }

  #error(what: string): LitmusSyntaxError {
    return new LitmusSyntaxError("LITMUS_SYNTAX", `litmus test ${this.#json.name}: ${what}`, { test: this.#json.name });
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

  #entry({ oa, valid, af, write, dbm, el0 }: JsonEntry, own: number): Value {
    if (el0 !== undefined) throw new UnsupportedError(this.#json.name, "rights of EL0");
    return entryOf({
      output: oa === null ? own : this.#location(oa),
      valid: valid === 1,
      accessed: af === 1,
      write: write === 1,
      dbm: dbm === 1,
      privileged: false,
    });
  }

  #hardware(agent: number): LitmusHardware {
    const words = (this.#json.httu ?? "").split(" ");
    const has = (feature: string): boolean => words.includes(feature) || words.includes(`P${agent}:${feature}`);
    // Hardware that manages the dirty state manages the access flag too.
    return { accessFlag: has("HA") || has("HD"), dirty: has("HD"), user: false };
  }

  #agent({ ops, endLabels }: ParsedTest["threads"][number]): Instruction[] {
    const operations = ops.map((item): { label: string[]; op: JsonOperation } =>
      "op" in item ? { label: item.label, op: item.op ?? ["nop"] } : { label: [], op: item },
    );
    const index: number[] = [];
    const instructions = operations.map(({ label, op }, at) => {
      const instruction = instructionOf(this.#json.name, op, label, [...index]);
      const isRead = (register: number): boolean =>
        operations.slice(at + 1).some(({ op: later }) => readsRegister(later, register));
      if (instruction.kind === "alu" && !isRead(instruction.to)) index.push(instruction.to);
      return instruction;
    });
    if (endLabels.length > 0) instructions.push(instructionOf(this.#json.name, ["nop"], endLabels, []));
    return instructions;
  }

  #condition(condition: JsonCondition): Condition {
    switch (condition[0]) {
      case "and":
      case "or": {
        const [kind, ...parts] = condition;
        return { kind, parts: parts.map((part) => this.#condition(part)) };
      }
      case "not":
        return { kind: "not", part: this.#condition(condition[1]) };
      case "reg": {
        const [, agent, register, value] = condition;
        return { kind: "register", agent: this.#agentOf(agent), register, value: this.#value(value) };
      }
      case "mem":
        return { kind: "memory", location: this.#location(condition[1]), value: this.#value(condition[2]) };
      case "pte": {
        const location = this.#location(condition[1]);
        return { kind: "entry", location, value: this.#entry(condition[2].pte, location) };
      }
      case "fault": {
        const [kind, agent, label, location, type] = condition;
        return {
          kind,
          agent: this.#agentOf(agent),
          label: label ?? undefined,
          location: this.#location(location),
          type: type ?? undefined,
        };
      }
    }
  }

  #agentOf(agent: number): number {
    if (agent < this.#json.threads.length) return agent;
    throw this.#error(`there is no P${agent}`);
  }

  /** What recorded outcomes show. */
  #shown(): Condition[] {
    const { ets2, base } = this.#json.outcomes;
    return ((ets2 ?? base)?.[0] ?? []).flatMap((item): Condition[] => {
      const register = /^(\d+):X(\d+)=/.exec(item);
      if (register !== null)
        return [
          { kind: "register", agent: this.#agentOf(Number(register[1])), register: Number(register[2]), value: 0 },
        ];
      const entry = /^\[PTE\((\w+)\)\]=/.exec(item);
      if (entry !== null) return [{ kind: "entry", location: this.#location(entry[1]!), value: 0 }];
      const memory = /^\[(\w+)\]=/.exec(item);
      if (memory !== null) return [{ kind: "memory", location: this.#location(memory[1]!), value: 0 }];
      const fault = /^~?Fault\(P(\d+)(?::(\w+))?,(\w+)(?:,MMU:(\w+))?/.exec(item);
      if (fault === null) return [];
      const [, agent, label, location, type] = fault;
      return [{ kind: "fault", agent: this.#agentOf(Number(agent)), label, location: this.#location(location!), type }];
    });
  }
}

const DEFAULT: JsonEntry = { oa: null, valid: 1, af: 1, write: 1, dbm: 0 };
const LOADS: Readonly<Record<string, "plain" | "acquire" | "acquire-pc">> = { LDAR: "acquire", LDAPR: "acquire-pc" };

function operandOf(operand: JsonOperand): Operand {
  return typeof operand === "object" ? { register: operand.r } : { number: operand };
}

const show = (operand: JsonOperand): string => (typeof operand === "object" ? `X${operand.r}` : `#${operand}`);

function instructionOf(
  test: string,
  operation: JsonOperation,
  labels: readonly string[],
  after: readonly number[],
): Instruction {
  if ("unknown" in operation) throw new UnsupportedError(test, `instruction ${operation.unknown}`);
  switch (operation[0]) {
    case "set": {
      const [kind, to, value] = operation;
      return { labels, text: `MOV X${to},${show(value)}`, kind, to, value: operandOf(value) };
    }
    case "page": {
      const [, to, left] = operation;
      return { labels, text: `LSR X${to},X${left},#12`, kind: "shift", to, left, by: 12 };
    }
    case "alu": {
      const [kind, name, to, left, right] = operation;
      const text = `${name} X${to},X${left},${show(right)}`;
      return { labels, text, kind, operation: name, to, left, right: operandOf(right) };
    }
    case "load": {
      const [kind, to, address, name = "LDR"] = operation;
      const text = `${name} X${to},[X${address}]`;
      return { labels, text, kind, order: LOADS[name] ?? "plain", to, address, after };
    }
    case "store": {
      const [kind, value, address] = operation;
      const text = `STR ${value === null ? "XZR" : `X${value}`},[X${address}]`;
      return { labels, text, kind, release: true, value: value ?? undefined, address, after };
    }
    case "swap": {
      const [kind, value, to, address] = operation;
      const text = `SWP X${value},X${to},[X${address}]`;
      return { labels, text, kind, operation: "SWP", acquire: true, release: true, value, to, address, after };
    }
    case "invalidate": {
      const [kind, scope, page] = operation;
      const text = `TLBI ${page === null ? "VMALLE1" : "VAAE1"}${scope === "is" ? "IS" : ""}${page === null ? "" : `,X${page}`}`;
      return { labels, text, kind, scope, page: page ?? undefined };
    }
    case "dsb":
    case "dmb": {
      const [kind, type] = operation;
      return { labels, text: `${kind.toUpperCase()} ${type}`, kind, type };
    }
    case "isb":
    case "nop":
      return { labels, text: operation[0].toUpperCase(), kind: operation[0] };
    case "cmp": {
      const [, left, right] = operation;
      return { labels, text: `CMP X${left},${show(right)}`, kind: "compare", left, right: operandOf(right) };
    }
    case "setCond": {
      const [, to, condition] = operation;
      return { labels, text: `CSET X${to},${condition}`, kind: "set-if", to, equal: condition === "EQ" };
    }
    case "jumpIfZero":
    case "jumpIfNonZero": {
      const [name, register, target] = operation;
      const when = name === "jumpIfZero" ? "zero" : "non-zero";
      return { labels, text: `${name} X${register},${target}`, kind: "jump", when, register, target };
    }
    default: {
      const [name, target] = operation;
      return { labels, text: `${name} ${target}`, kind: "jump", when: JUMPS[name], register: 0, target };
    }
  }
}

const JUMPS = { jump: "always", jumpIfEqual: "equal", jumpIfNotEqual: "not-equal" } as const;

/** True when an operation reads a register. */
function readsRegister(operation: JsonOperation, register: number): boolean {
  const reads = (...operands: readonly (JsonOperand | null)[]): boolean =>
    operands.some((operand) => typeof operand === "object" && operand?.r === register);
  if ("unknown" in operation) return true;
  switch (operation[0]) {
    case "set":
      return reads(operation[2]);
    case "page":
    case "load":
      return operation[2] === register;
    case "alu":
      return operation[3] === register || reads(operation[4]);
    case "store":
      return operation[1] === register || operation[2] === register;
    case "swap":
      return operation[1] === register || operation[3] === register;
    case "invalidate":
      return operation[2] === register;
    case "cmp":
      return operation[1] === register || reads(operation[2]);
    case "jumpIfZero":
    case "jumpIfNonZero":
      return operation[1] === register;
    default:
      return false;
  }
}
