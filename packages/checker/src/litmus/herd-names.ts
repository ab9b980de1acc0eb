import { LitmusSyntaxError, UnsupportedError } from "./test.js";
import { addressOf, entryAddressOf, type EntryFields, entryOf, type Value } from "./values.js";

const NUMBER = /^(0x[\da-f]+|\d+)$/i;
const NAME = /^[A-Za-z_]\w*$/;
/** `PTE(x)`, `[PTE(x)]`, `TTD(x)`, or as older tests have it, `pte_x`. */
const ENTRY_ADDRESS = /^\[?\s*(?:(?:PTE|TTD)\(\s*(\w+)\s*\)|pte_(\w+))\s*\]?$/i;
/** `PA(x)`, or as older tests have it, `phy_x`. */
const OUTPUT = /^(?:PA\(\s*(\w+)\s*\)|phy_(\w+))$/;

/** The locations of one test, and its values as herd writes them. */
export class HerdNames {
  readonly test: string;
  readonly locations: string[] = [];

  constructor(test: string) {
    this.test = test;
  }

  location(name: string): number {
    const known = this.locations.indexOf(name);
    return known >= 0 ? known : this.locations.push(name) - 1;
  }

  /** The location whose entry `text` names; undefined when it names none. */
  entry(text: string): number | undefined {
    const match = ENTRY_ADDRESS.exec(text);
    return match === null ? undefined : this.location((match[1] ?? match[2])!);
  }

  /**
   * Reads `3`, `0x10`, `x`, `&x`, `PTE(x)` or `(oa:PA(x), valid:0)`. An entry that does not say where it points, points to `own`.
   *
   * @throws LitmusSyntaxError LITMUS_SYNTAX; UnsupportedError LITMUS_UNSUPPORTED
   */
  value(text: string, own = 0): Value {
    const trimmed = text.trim().replace(/^&\s*/, "");
    if (NUMBER.test(trimmed)) return this.number(trimmed);
    const entry = this.entry(trimmed);
    if (entry !== undefined) return entryAddressOf(entry);
    if (trimmed.startsWith("(")) return this.#entryValue(trimmed, own);
    if (NAME.test(trimmed)) return addressOf(this.location(trimmed));
    throw this.error(
      `"${trimmed}" is no value. Write a number, a location, PTE(x), or an entry such as (oa:PA(x), valid:0)`,
    );
  }

  /** @throws UnsupportedError LITMUS_UNSUPPORTED for a number that is too large to be told from an address. */
  number(text: string): Value {
    const value = Number(text);
    if (value < MOST) return value;
    throw new UnsupportedError(this.test, `the number ${text}: it has more than 24 bits`);
  }

  error(what: string): LitmusSyntaxError {
    return new LitmusSyntaxError("LITMUS_SYNTAX", `litmus test ${this.test}: ${what}`, { test: this.test });
  }

  #entryValue(text: string, own: number): Value {
    const fields = { ...DEFAULT, output: own };
    const inside = /^\(([^]*)\)$/.exec(text)?.[1];
    if (inside === undefined) throw this.error(`the entry "${text}" is not closed`);
    for (const part of inside.split(",").map((field) => field.trim())) {
      if (part === "") continue;
      const [, name = "", value = ""] = /^(\w+)\s*:\s*([^]*)$/.exec(part) ?? [];
      const output = name === "oa" ? OUTPUT.exec(value) : null;
      const field = FIELDS[name];
      if (output !== null) fields.output = this.location((output[1] ?? output[2])!);
      else if (field !== undefined && (value === "0" || value === "1")) field(fields, value === "1");
      else if (name === "x" || name === "attrs" || name === "") {
        if (name !== "x" || value !== "1") throw new UnsupportedError(this.test, `"${part}" in an entry`);
      } else throw this.error(`"${part}" is no field of an entry. Known are oa:PA(x), valid, af, db, dbm and el0`);
    }
    return entryOf(fields);
  }
}

const MOST = 1 << 24;

type Fields = { -readonly [K in keyof EntryFields]: EntryFields[K] };

/** An entry of which nothing is said. */
export const DEFAULT: EntryFields = {
  output: 0,
  valid: true,
  accessed: true,
  write: true,
  dbm: false,
  privileged: false,
};

const FIELDS: Readonly<Record<string, (fields: Fields, set: boolean) => void>> = {
  valid: (fields, set) => (fields.valid = set),
  af: (fields, set) => (fields.accessed = set),
  db: (fields, set) => (fields.write = set),
  dbm: (fields, set) => (fields.dbm = set),
  el0: (fields, set) => (fields.privileged = !set),
};
