import { readAtom, readCondition } from "./herd-condition.js";
import { readInstruction } from "./herd-instructions.js";
import { HerdNames } from "./herd-names.js";
import { type Instruction, LitmusSyntaxError, type LitmusTest, type LitmusVerdict, UnsupportedError } from "./test.js";
import { entryOf, type Value } from "./values.js";

/**
 * Reads a test in herd's `.litmus` syntax: the part of AArch64 that virtual-memory tests use. `TTHM=` says what hardware updates,
 * and a line `Expect=Forbidden` what the author expects.
 *
 * @throws UnsupportedError LITMUS_UNSUPPORTED for what this model does not have; LitmusSyntaxError LITMUS_SYNTAX for what can not
 * be read.
 * @public
 */
export function litmusFromHerd(text: string): LitmusTest {
  const [, architecture, name, head, init, rest] =
    /^\s*(\S+)\s+(\S+)([^{]*)\{([^]*?)\}([^]*)$/.exec(withoutComments(text)) ?? [];
  if (architecture === undefined || name === undefined) {
    throw new LitmusSyntaxError(
      "LITMUS_SYNTAX",
      'a litmus test begins with its architecture and name, and an initial state in braces: "AArch64 name { … }"',
    );
  }
  if (architecture !== "AArch64") throw new UnsupportedError(name, `architecture ${architecture}`);
  const [, program, locations, quantifier, condition] =
    /^([^]*?)(?:\blocations\s*\[([^]*?)\s*;?\s*\]\s*)?(~\s*exists|\bexists|\bforall)\b([^]*)$/.exec(rest!) ?? [];
  const names = new HerdNames(name);
  if (quantifier === undefined) throw names.error(`it does not end with "exists", "~exists" or "forall"`);
  const start = readInit(init!, names);
  const agents = readProgram(program!, names);
  const asked = readCondition(condition!, names);
  const shown = (locations ?? "")
    .split(";")
    .map((item) => item.trim())
    .filter((item) => item !== "")
    .map((item) => readAtom(item, names));
  const updates = /^\s*TTHM\s*=\s*(.+)$/m.exec(head!)?.[1]?.trim().split(/\s+/) ?? [];
  return {
    name,
    locations: names.locations,
    memory: names.locations.map((_, l) => start.memory.get(l) ?? 0),
    entries: names.locations.map(
      (_, l) => start.entries.get(l) ?? entryOf({ output: l, valid: true, accessed: true, write: true, dbm: false }),
    ),
    registers: start.registers,
    agents,
    hardware: agents.map((_, agent) => {
      const has = (feature: string): boolean => updates.includes(feature) || updates.includes(`P${agent}:${feature}`);
      return { accessFlag: has("HA") || has("HD"), dirty: has("HD") };
    }),
    quantifier: quantifier.replaceAll(/\s/g, "") as LitmusTest["quantifier"],
    condition: asked,
    shown,
    expected: expectedIn(head!, names),
  };
}

const VERDICTS: readonly LitmusVerdict[] = ["Allowed", "Forbidden", "Required", "Not required"];

function expectedIn(head: string, names: HerdNames): LitmusVerdict | undefined {
  const text = /^\s*Expect\s*=\s*(.+)$/m.exec(head)?.[1]?.trim();
  if (text === undefined) return undefined;
  const verdict = VERDICTS.find((known) => known === text);
  if (verdict === undefined) throw names.error(`"Expect=${text}" is no verdict. Write one of ${VERDICTS.join(", ")}`);
  return verdict;
}

function withoutComments(text: string): string {
  return text.replaceAll(/\(\*[^]*?\*\)/g, "");
}

interface Start {
  readonly memory: Map<number, Value>;
  readonly entries: Map<number, Value>;
  readonly registers: (readonly [number, number, Value])[];
}

function readInit(text: string, names: HerdNames): Start {
  const start: Start = { memory: new Map(), entries: new Map(), registers: [] };
  for (const item of text.split(";").map((line) => line.trim())) {
    if (item === "") continue;
    // A C type in front says nothing about the model.
    const plain = item.replace(/^(?:u?int\d*_t|int|pteval_t)\s+(?=\S)/, "");
    const [, what = "", value = "0"] = /^([^=]+?)\s*(?:=\s*([^]+))?$/.exec(plain) ?? [];
    const register = /^(\d+):[XW](\d+)$/.exec(what);
    const entry = /^\[?PTE\((\w+)\)\]?$/.exec(what);
    const memory = /^\[?(\w+)\]?$/.exec(what);
    if (register !== null) start.registers.push([Number(register[1]), Number(register[2]), names.value(value)]);
    else if (entry !== null) {
      const location = names.location(entry[1]!);
      start.entries.set(location, names.value(value, location));
    } else if (memory !== null) start.memory.set(names.location(memory[1]!), names.value(value));
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
