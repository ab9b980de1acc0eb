import type { HerdNames } from "./herd-names.js";
import { type Instruction, type Operand, UnsupportedError } from "./test.js";

const REGISTER = /^[XW](\d+)$/i;
const ZERO = /^[XW]ZR$/i;
const CONDITIONS: Readonly<Record<string, "equal" | "not-equal">> = { EQ: "equal", NE: "not-equal" };
const LOADS = new Set(["LDR", "LDAR", "LDAPR", "LDUR"]);
const STORES = new Set(["STR", "STLR", "STUR"]);
const SWAPS = new Set(["SWP", "SWPA", "SWPL", "SWPAL"]);
const INVALIDATE_PAGE = /^(VAAE1|VAE1|VALE1|VAALE1)(IS)?$/i;
const INVALIDATE_ALL = /^VMALLE1(IS)?$/i;

/**
 * Reads one AArch64 instruction: the part of the instruction set that virtual-memory tests use.
 *
 * @throws UnsupportedError LITMUS_UNSUPPORTED for every other instruction and addressing mode.
 */
export function readInstruction(text: string, labels: readonly string[], names: HerdNames): Instruction {
  const common = { labels, text };
  const [, name = "", rest = ""] = /^(\S+)\s*([^]*)$/.exec(text) ?? [];
  const mnemonic = name.toUpperCase();
  const operands = rest
    .split(/,(?![^[]*\])/)
    .map((operand) => operand.trim())
    .filter((operand) => operand !== "");
  const refuse = (what = `instruction "${text}"`): never => {
    throw new UnsupportedError(names.test, what);
  };
  const register = (at: number): number => {
    const operand = operands[at] ?? "";
    return Number(
      REGISTER.exec(operand)?.[1] ?? (ZERO.test(operand) ? NO_REGISTER : refuse(`operand "${operand}" of "${text}"`)),
    );
  };
  const operand = (at: number): Operand => {
    const number = /^#(0x[\da-f]+|\d+)$/i.exec(operands[at] ?? "");
    return number === null ? { register: register(at) } : { number: Number(number[1]) };
  };
  const base = (at: number): number =>
    Number(/^\[\s*X(\d+)\s*\]$/i.exec(operands[at] ?? "")?.[1] ?? refuse(`addressing mode of "${text}"`));

  if (LOADS.has(mnemonic)) return { ...common, kind: "load", to: register(0), address: base(1) };
  if (STORES.has(mnemonic))
    return {
      ...common,
      kind: "store",
      value: ZERO.test(operands[0] ?? "") ? undefined : register(0),
      address: base(1),
    };
  if (SWAPS.has(mnemonic)) return { ...common, kind: "swap", value: register(0), to: register(1), address: base(2) };
  switch (mnemonic) {
    case "MOV":
      return { ...common, kind: "set", to: register(0), value: operand(1) };
    case "ADD":
    case "AND":
    case "EOR":
      return { ...common, kind: "alu", operation: mnemonic, to: register(0), left: register(1), right: operand(2) };
    case "LSR":
      return operands[2] === "#12" ? { ...common, kind: "page", to: register(0), address: register(1) } : refuse();
    case "CMP":
      return { ...common, kind: "compare", left: register(0), right: operand(1) };
    case "CSET":
      return {
        ...common,
        kind: "set-if",
        to: register(0),
        equal: (CONDITIONS[operands[1]?.toUpperCase() ?? ""] ?? refuse()) === "equal",
      };
    case "CBZ":
    case "CBNZ":
      return {
        ...common,
        kind: "jump",
        when: mnemonic === "CBZ" ? "zero" : "non-zero",
        register: register(0),
        target: operands[1] ?? refuse(),
      };
    case "B":
      return { ...common, kind: "jump", when: "always", register: 0, target: operands[0] ?? refuse() };
    case "B.EQ":
    case "B.NE":
      return {
        ...common,
        kind: "jump",
        when: CONDITIONS[mnemonic.slice(2)]!,
        register: 0,
        target: operands[0] ?? refuse(),
      };
    case "DSB":
    case "DMB":
      return { ...common, kind: mnemonic === "DSB" ? "dsb" : "dmb", type: operands[0]?.toUpperCase() ?? "SY" };
    case "ISB":
    case "NOP":
      return { ...common, kind: mnemonic === "ISB" ? "isb" : "nop" };
    case "TLBI": {
      const page = INVALIDATE_PAGE.exec(operands[0] ?? "");
      const all = INVALIDATE_ALL.exec(operands[0] ?? "");
      const match = page ?? all ?? refuse();
      const broadcast = match.at(-1) !== undefined;
      return {
        ...common,
        kind: "invalidate",
        scope: broadcast ? "is" : "local",
        page: page === null ? undefined : register(1),
      };
    }
    default:
      return refuse();
  }
}

/** The zero register: reads as 0, and what is written to it is lost. */
const NO_REGISTER = 31;
