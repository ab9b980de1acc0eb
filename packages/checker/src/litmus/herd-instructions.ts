import type { HerdNames } from "./herd-names.js";
import { NO_REGISTER } from "./program-paths.js";
import { type AluOperation, type Instruction, type Operand, UnsupportedError } from "./test.js";

const REGISTER = /^[XW](\d+)$/i;
const ZERO = /^[XW]ZR$/i;
const LOADS: Readonly<Record<string, "plain" | "acquire" | "acquire-pc">> = {
  LDR: "plain",
  LDUR: "plain",
  LDAR: "acquire",
  LDAPR: "acquire-pc",
  LDAPUR: "acquire-pc",
};
const STORES: Readonly<Record<string, boolean>> = { STR: false, STUR: false, STLR: true, STLUR: true };
/** SWP and the atomic operations of FEAT_LSE, with acquire and release; those whose name begins with ST load nothing. */
const ATOMIC = /^(SWP|LDADD|LDSET|LDCLR|LDEOR|STADD|STSET|STCLR|STEOR)(A?)(L?)$/;
const ATOMIC_OPERATIONS: Readonly<Record<string, "SWP" | AluOperation>> = {
  SWP: "SWP",
  ADD: "ADD",
  SET: "ORR",
  CLR: "BIC",
  EOR: "EOR",
};
const ALU: Readonly<Record<string, AluOperation>> = {
  ADD: "ADD",
  SUB: "SUB",
  AND: "AND",
  BIC: "BIC",
  ORR: "ORR",
  EOR: "EOR",
  LSL: "LSL",
};
const BARRIER_TYPES = new Set(["SY", "LD", "ST", ...["ISH", "OSH", "NSH"].flatMap((d) => [d, `${d}LD`, `${d}ST`])]);
const INVALIDATE_PAGE = /^(VAAE1|VAE1|VALE1|VAALE1)(IS|OS)?$/i;
const INVALIDATE_ALL = /^(?:VMALLE1|ASIDE1)(IS|OS)?$/i;

/**
 * Reads one AArch64 instruction: the part of the instruction set that virtual-memory tests use.
 *
 * @throws UnsupportedError LITMUS_UNSUPPORTED for every other instruction and addressing mode.
 */
export function readInstruction(text: string, labels: readonly string[], names: HerdNames): Instruction {
  return new InstructionReader(text, labels, names).read();
}

class InstructionReader {
  readonly #text: string;
  readonly #names: HerdNames;
  readonly #common: { readonly labels: readonly string[]; readonly text: string };
  readonly #mnemonic: string;
  readonly #operands: readonly string[];

  constructor(text: string, labels: readonly string[], names: HerdNames) {
    this.#text = text;
    this.#names = names;
    this.#common = { labels, text: text.replaceAll(/\s+/g, " ") };
    const [, name = "", rest = ""] = /^(\S+)\s*([^]*)$/.exec(text) ?? [];
    this.#mnemonic = name.toUpperCase();
    this.#operands = rest
      .split(/,(?![^[]*\])/)
      .map((operand) => operand.trim())
      .filter((operand) => operand !== "");
  }

  read(): Instruction {
    const common = this.#common;
    const access = this.#access();
    if (access !== undefined) return access;
    const alu = ALU[this.#mnemonic];
    if (alu !== undefined) {
      const [to, left, right] = [this.#register(0), this.#register(1), this.#operand(2)];
      return { ...common, kind: "alu", operation: alu, to, left, right: this.#expect(3, right) };
    }
    switch (this.#mnemonic) {
      case "MOV":
        return { ...common, kind: "set", to: this.#register(0), value: this.#expect(2, this.#operand(1)) };
      case "LSR": {
        const by = this.#operand(2);
        if ("register" in by) return this.#refuse();
        return { ...common, kind: "shift", to: this.#register(0), left: this.#register(1), by: by.number };
      }
      case "CMP":
        return { ...common, kind: "compare", left: this.#register(0), right: this.#expect(2, this.#operand(1)) };
      case "CSET":
        return { ...common, kind: "set-if", to: this.#register(0), equal: this.#condition(this.#operands[1]) };
      case "CBZ":
      case "CBNZ":
        return this.#jump(this.#mnemonic === "CBZ" ? "zero" : "non-zero", this.#register(0), 1);
      case "B":
        return this.#jump("always", NO_REGISTER, 0);
      case "B.EQ":
      case "B.NE":
        return this.#jump(this.#condition(this.#mnemonic.slice(2)) ? "equal" : "not-equal", NO_REGISTER, 0);
      case "DSB":
      case "DMB": {
        const type = this.#operands[0]?.toUpperCase() ?? "";
        if (!BARRIER_TYPES.has(type)) return this.#refuse();
        return { ...common, kind: this.#mnemonic === "DSB" ? "dsb" : "dmb", type };
      }
      case "ISB":
      case "NOP":
        return { ...common, kind: this.#mnemonic === "ISB" ? "isb" : "nop" };
      case "TLBI":
        return this.#invalidate();
      default:
        return this.#refuse();
    }
  }

  #access(): Instruction | undefined {
    const common = this.#common;
    const order = LOADS[this.#mnemonic];
    if (order !== undefined) return { ...common, kind: "load", order, to: this.#register(0), ...this.#address(1) };
    const release = STORES[this.#mnemonic];
    if (release !== undefined) {
      const value = ZERO.test(this.#operands[0] ?? "") ? undefined : this.#register(0);
      return { ...common, kind: "store", release, value, ...this.#address(1) };
    }
    const atomic = ATOMIC.exec(this.#mnemonic);
    if (atomic === null) return undefined;
    const [, name = "", acquire, releases] = atomic;
    const loads = !name.startsWith("ST");
    return {
      ...common,
      kind: "swap",
      operation: ATOMIC_OPERATIONS[name === "SWP" ? name : name.slice(2)]!,
      acquire: acquire !== "",
      release: releases !== "",
      value: this.#register(0),
      to: loads ? this.#register(1) : NO_REGISTER,
      ...this.#address(loads ? 2 : 1),
    };
  }

  #invalidate(): Instruction {
    const [operation = ""] = this.#operands;
    const page = INVALIDATE_PAGE.exec(operation);
    const all = INVALIDATE_ALL.exec(operation);
    const match = page ?? all ?? this.#refuse();
    return {
      ...this.#common,
      kind: "invalidate",
      scope: match.at(-1) === undefined ? "local" : "is",
      page: page === null ? undefined : this.#register(1),
    };
  }

  #jump(when: (Instruction & { kind: "jump" })["when"], register: number, at: number): Instruction {
    return { ...this.#common, kind: "jump", when, register, target: this.#operands[at] ?? this.#refuse() };
  }

  /** `EQ` or `NE`. */
  #condition(text: string | undefined): boolean {
    const condition = text?.toUpperCase();
    return condition === "EQ" || (condition === "NE" ? false : this.#refuse());
  }

  #register(at: number): number {
    const operand = this.#operands[at] ?? "";
    const number = ZERO.test(operand) ? NO_REGISTER : Number(REGISTER.exec(operand)?.[1] ?? NaN);
    return number <= NO_REGISTER ? number : this.#refuse(`operand "${operand}" of "${this.#text}"`);
  }

  #operand(at: number): Operand {
    const number = /^#?(0x[\da-f]+|\d+)$/i.exec(this.#operands[at] ?? "");
    return number === null ? { register: this.#register(at) } : { number: this.#names.number(number[1]!) };
  }

  /** The value, if there are no more operands. */
  #expect<T>(operands: number, value: T): T {
    return this.#operands.length === operands ? value : this.#refuse();
  }

  /** `[X1]`, `[X1,#0]`, `[X1,X2]` or `[X1,W2,SXTW]`. */
  #address(at: number): { readonly address: number; readonly index: number | undefined } {
    const text = this.#operands[at] ?? "";
    const match = /^\[\s*X(\d+)\s*(?:,\s*(?:#0|[XW](\d+)\s*(?:,\s*[SU]XT[WX](?:\s*#0)?)?)\s*)?\]$/i.exec(text);
    if (match === null || this.#operands.length > at + 1) return this.#refuse(`addressing mode of "${this.#text}"`);
    return { address: Number(match[1]), index: match[2] === undefined ? undefined : Number(match[2]) };
  }

  #refuse(what = `instruction "${this.#text}"`): never {
    throw new UnsupportedError(this.#names.test, what);
  }
}
