import { readAtom, readCondition } from "./herd-condition.js";
import { readInstruction } from "./herd-instructions.js";
import { DEFAULT, HerdNames } from "./herd-names.js";
import {
  atomsOf,
  type Condition,
  type Instruction,
  type LitmusHardware,
  LitmusSyntaxError,
  type LitmusTest,
  type LitmusVerdict,
  UnsupportedError,
} from "./test.js";
import { entryOf, type Value } from "./values.js";

/** The parts of a test's text: head lines, initial state, program, what is shown, what is asked. */
const PARTS = /^\s*(\S+)\s+(\S+)([^{]*)\{([^]*?)\}([^]*)$/;
const FINAL = /^([^]*?)(?:\blocations\s*\[([^\]]*(?:\[[^\]]*\][^\]]*)*)\]\s*)?(~\s*exists|\bexists|\bforall)\b([^]*)$/;
/** A test that only lists what is shown asks nothing. */
const NOTHING_ASKED = /\blocations\s*\[[^]*\]\s*$/;

/**
 * Reads a test in herd's `.litmus` syntax: the part of AArch64 that virtual-memory tests use. `TTHM=` says what hardware updates,
 * `EL0=` which agents run unprivileged, `Variant=handled` that a fault does not end its agent; a line `Expect=Forbidden` what the
 * author expects.
 *
 * @throws UnsupportedError LITMUS_UNSUPPORTED for what this model does not have; LitmusSyntaxError LITMUS_SYNTAX for what can not
 * be read.
 * @public
 */
export function litmusFromHerd(text: string): LitmusTest {
  const [, architecture, name, head = "", init = "", rest = ""] = PARTS.exec(withoutComments(text)) ?? [];
  if (architecture === undefined || name === undefined) {
    throw new LitmusSyntaxError(
      "LITMUS_SYNTAX",
      'a litmus test begins with its architecture and name, and an initial state in braces: "AArch64 name { … }"',
    );
  }
  if (architecture !== "AArch64") throw new UnsupportedError(name, `architecture ${architecture}`);
  const names = new HerdNames(name);
  const [, program = "", locations = "", quantifier, condition = ""] =
    FINAL.exec(NOTHING_ASKED.test(rest) ? `${rest} forall true` : rest) ?? [];
  if (quantifier === undefined) throw names.error(`it does not end with "exists", "~exists" or "forall"`);
  if (/\bfilter\b/.test(program)) throw new UnsupportedError(name, "a filter");
  const start = readInit(init, names);
  const agents = readProgram(program, names);
  const asked = readCondition(condition, names);
  const shown = itemsOf(locations).map((item) => readAtom(item, names));
  for (const agent of [...start.registers.map(([of]) => of), ...agentsIn([asked, ...shown])])
    if (agent >= agents.length) throw names.error(`there is no P${agent}`);
  return {
    name,
    locations: names.locations,
    memory: names.locations.map((_, l) => start.memory.get(l) ?? 0),
    entries: names.locations.map((_, l) => start.entries.get(l) ?? entryOf({ ...DEFAULT, output: l })),
    registers: start.registers,
    agents,
    hardware: hardwareIn(head, agents.length),
    faults: faultsIn(head, names),
    quantifier: quantifier.replaceAll(/\s/g, "") as LitmusTest["quantifier"],
    condition: asked,
    shown,
    expected: expectedIn(head, names),
  };
}

/** The words of every head line of that name. */
function wordsIn(head: string, name: string): string[] {
  const lines = head.matchAll(new RegExp(String.raw`^\s*${name}\s*=(.*)$`, "gim"));
  return [...lines].flatMap(([, words = ""]) => words.split(/[\s,]+/).filter((word) => word !== ""));
}

function hardwareIn(head: string, agents: number): LitmusHardware[] {
  const updates = wordsIn(head, "TTHM");
  const users = wordsIn(head, "EL0");
  return Array.from({ length: agents }, (_, agent) => {
    const has = (feature: string): boolean => updates.includes(feature) || updates.includes(`P${agent}:${feature}`);
    // Hardware that manages the dirty state manages the access flag too.
    return { accessFlag: has("HA") || has("HD"), dirty: has("HD"), user: users.includes(`P${agent}`) };
  });
}

/** Variants that say what a fault does; herd has older names for both. */
const FATAL = new Set(["fatal", "precise"]);
const HANDLED = new Set(["handled", "imprecise"]);

function faultsIn(head: string, names: HerdNames): LitmusTest["faults"] {
  let faults: LitmusTest["faults"] = "fatal";
  for (const variant of wordsIn(head, "Variant").map((word) => word.toLowerCase())) {
    if (FATAL.has(variant)) faults = "fatal";
    else if (HANDLED.has(variant)) faults = "handled";
    else if (variant !== "vmsa") throw new UnsupportedError(names.test, `variant ${variant}`);
  }
  return faults;
}

const VERDICTS: readonly LitmusVerdict[] = ["Allowed", "Forbidden", "Required", "Not required"];

function expectedIn(head: string, names: HerdNames): LitmusVerdict | undefined {
  const text = /^\s*Expect\s*=\s*(.+)$/m.exec(head)?.[1]?.trim();
  if (text === undefined) return undefined;
  const verdict = VERDICTS.find((known) => known === text);
  if (verdict === undefined) throw names.error(`"Expect=${text}" is no verdict. Write one of ${VERDICTS.join(", ")}`);
  return verdict;
}

function agentsIn(conditions: readonly Condition[]): number[] {
  return conditions.flatMap((condition) => atomsOf(condition)).flatMap((atom) => ("agent" in atom ? [atom.agent] : []));
}

function withoutComments(text: string): string {
  return text.replaceAll(/\(\*[^]*?\*\)/g, "");
}

function itemsOf(text: string): string[] {
  return text
    .split(";")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

interface Start {
  readonly memory: Map<number, Value>;
  readonly entries: Map<number, Value>;
  readonly registers: (readonly [number, number, Value])[];
}

/** C types in front of a name say nothing about the model. */
const TYPE = /^(?:u?int\d*_t|int|pteval_t)\s*(?:\*\s*|\s(?=\S))/;

function readInit(text: string, names: HerdNames): Start {
  const start: Start = { memory: new Map(), entries: new Map(), registers: [] };
  for (const item of itemsOf(text)) {
    if (item.includes("{")) throw new UnsupportedError(names.test, "an array");
    const [, what = "", value = "0"] = /^([^=]+?)\s*(?:=\s*([^]+))?$/.exec(item.replace(TYPE, "")) ?? [];
    const register = /^P?(\d+):\s*[XW](\d+)$/i.exec(what);
    const entry = names.entry(what);
    const memory = /^\[?\s*([A-Za-z_]\w*)\s*\]?$/.exec(what);
    if (register !== null) start.registers.push([Number(register[1]), Number(register[2]), names.value(value)]);
    else if (entry !== undefined) start.entries.set(entry, names.value(value, entry));
    else if (memory !== null) start.memory.set(names.location(memory[1]!), names.value(value));
    else throw names.error(`"${item}" in the initial state is not understood`);
  }
  return start;
}

/** The table of instructions, a column for each agent. */
function readProgram(text: string, names: HerdNames): Instruction[][] {
  const rows = text
    .split(";")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => line.split("|").map((cell) => cell.trim()));
  const [head = [], ...body] = rows;
  for (const [column, cell] of head.entries()) {
    if (/^P\d+\.F$/i.test(cell)) throw new UnsupportedError(names.test, "a fault handler");
    if (cell !== `P${column}`)
      throw names.error(`column ${column + 1} is called "${cell}" where P${column} is expected`);
  }
  return head.map((_, column) => {
    const instructions: Instruction[] = [];
    let labels: string[] = [];
    for (const cells of body) {
      let cell = cells[column] ?? "";
      for (let label = /^(\w+)\s*:\s*/.exec(cell); label !== null; label = /^(\w+)\s*:\s*/.exec(cell)) {
        labels.push(label[1]!);
        cell = cell.slice(label[0].length);
      }
      if (cell === "") continue;
      instructions.push(readInstruction(cell, labels, names));
      labels = [];
    }
    if (labels.length > 0) instructions.push({ kind: "nop", labels, text: "end" });
    return instructions;
  });
}
