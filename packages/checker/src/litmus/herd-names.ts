import { LitmusSyntaxError } from "./test.js";
import { addressOf, entryAddressOf, entryOf, type Value } from "./values.js";

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

  /**
   * Reads `3`, `0x10`, `x`, `PTE(x)` or `(oa:PA(x), valid:0)`. An entry that does not say where it points, points to `own`.
   *
   * @throws LitmusSyntaxError LITMUS_SYNTAX
   */
  value(text: string, own = 0): Value {
    const trimmed = text.trim();
    if (/^(0x[\da-f]+|\d+)$/i.test(trimmed)) return Number(trimmed);
    const entryAddress = /^PTE\(\s*(\w+)\s*\)$/i.exec(trimmed);
    if (entryAddress !== null) return entryAddressOf(this.location(entryAddress[1]!));
    if (trimmed.startsWith("(")) return this.#entry(trimmed, own);
    if (/^[A-Za-z_]\w*$/.test(trimmed)) return addressOf(this.location(trimmed));
    throw this.error(
      `"${trimmed}" is no value. Write a number, a location, PTE(x), or an entry such as (oa:PA(x), valid:0)`,
    );
  }

  error(what: string): LitmusSyntaxError {
    return new LitmusSyntaxError("LITMUS_SYNTAX", `litmus test ${this.test}: ${what}`, { test: this.test });
  }

  #entry(text: string, own: number): Value {
    const fields = { output: own, valid: true, accessed: true, write: true, dbm: false };
    const inside = /^\(([^]*)\)$/.exec(text)?.[1] ?? "";
    for (const part of inside.split(",").map((field) => field.trim())) {
      if (part === "") continue;
      const output = /^oa:\s*PA\(\s*(\w+)\s*\)$/.exec(part);
      const flag = /^(valid|af|db|dbm):\s*([01])$/.exec(part);
      if (output !== null) fields.output = this.location(output[1]!);
      else if (flag === null)
        throw this.error(
          `"${part}" is no field of an entry. Known are oa:PA(x), valid, af, db and dbm; EL0 rights and attributes are unsupported`,
        );
      else fields[FIELDS[flag[1] as keyof typeof FIELDS]] = flag[2] === "1";
    }
    return entryOf(fields);
  }
}

const FIELDS = { valid: "valid", af: "accessed", db: "write", dbm: "dbm" } as const;
