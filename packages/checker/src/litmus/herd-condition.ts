import type { HerdNames } from "./herd-names.js";
import { type Condition, UnsupportedError } from "./test.js";

/** A value: an entry in parentheses (which may have a parenthesis inside), a word, or a word with one argument. */
const VALUE = String.raw`(?:\((?:[^()]|\([^()]*\))*\)|label:"[^"]*"|&?\w+\([^()]*\)|&?\w+)`;
const WHAT = String.raw`(?:P?\d+:\s*[XWxw]\w+|\[?\s*(?:PTE|TTD)\(\s*\w+\s*\)\s*\]?|\[?\s*\w+\s*\]?)`;
const TOKEN = new RegExp(
  String.raw`\s*(\/\\|\\\/|~|not\b|fault\s*\([^)]*\)|true\b|false\b|${WHAT}\s*(?:=|<>)\s*${VALUE}|\(|\))`,
  "yi",
);

/**
 * Reads what stands behind `exists`, `~exists` or `forall`.
 *
 * @throws LitmusSyntaxError LITMUS_SYNTAX; UnsupportedError LITMUS_UNSUPPORTED
 */
export function readCondition(text: string, names: HerdNames): Condition {
  const tokens: string[] = [];
  for (let at = 0; text.slice(at).trim() !== ""; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) throw names.error(`the condition is not understood from "${text.slice(at).trim()}" on`);
    tokens.push(match[1]!);
  }
  return new ConditionReader(tokens, names).read();
}

/** Conditions in parentheses within others. */
const MOST_NESTED = 100;

class ConditionReader {
  readonly #tokens: readonly string[];
  readonly #names: HerdNames;
  #at = 0;
  #nested = 0;

  constructor(tokens: readonly string[], names: HerdNames) {
    this.#tokens = tokens;
    this.#names = names;
  }

  read(): Condition {
    const condition = this.#either();
    if (this.#at === this.#tokens.length) return condition;
    throw this.#names.error(`the condition goes on with "${this.#tokens[this.#at]}" where it should end`);
  }

  #either(): Condition {
    return this.#joined("\\/", "or", () => this.#joined("/\\", "and", () => this.#single()));
  }

  #joined(separator: string, kind: "and" | "or", part: () => Condition): Condition {
    const parts = [part()];
    while (this.#tokens[this.#at] === separator) {
      this.#at++;
      parts.push(part());
    }
    return parts.length === 1 ? parts[0]! : { kind, parts };
  }

  #single(): Condition {
    if (++this.#nested > MOST_NESTED) throw this.#names.error("the condition is nested too deeply");
    const condition = this.#part(this.#tokens[this.#at++]);
    this.#nested--;
    return condition;
  }

  #part(token: string | undefined): Condition {
    if (token === undefined) throw this.#names.error("the condition ends where something is asked for");
    if (token === "~" || token === "not") return { kind: "not", part: this.#single() };
    if (token === "true") return { kind: "and", parts: [] };
    if (token === "false") return { kind: "or", parts: [] };
    if (token !== "(") return readAtom(token, this.#names);
    const inner = this.#either();
    if (this.#tokens[this.#at++] !== ")") throw this.#names.error("a parenthesis of the condition is not closed");
    return inner;
  }
}

/** Reads `0:X1=1`, `0:X1<>1`, `[x]=1`, `x=1`, `[PTE(x)]=(valid:0)` or `fault(P0:L0,x)`; without a value it asks for 0. */
export function readAtom(text: string, names: HerdNames): Condition {
  if (/^fault\b/i.test(text)) return readFault(text, names);
  const [, what = "", sign, value = "0"] = /^([^=<]+?)\s*(?:(=|<>)\s*([^]+))?$/.exec(text) ?? [];
  if (value.startsWith("label:")) throw new UnsupportedError(names.test, "the address of an instruction");
  const atom = readEquality(what, value, names);
  return sign === "<>" ? { kind: "not", part: atom } : atom;
}

function readEquality(what: string, value: string, names: HerdNames): Condition {
  const register = /^P?(\d+):\s*[XW](\d+)$/i.exec(what);
  if (register !== null)
    return { kind: "register", agent: Number(register[1]), register: Number(register[2]), value: names.value(value) };
  const location = names.entry(what);
  if (location !== undefined) return { kind: "entry", location, value: names.value(value, location) };
  const memory = /^\[?\s*([A-Za-z_]\w*)\s*\]?$/.exec(what);
  if (memory === null) throw names.error(`"${what}" is nothing that can be asked about`);
  return { kind: "memory", location: names.location(memory[1]!), value: names.value(value) };
}

/** The reasons that a condition may ask about. */
const REASONS = new Map([
  ["translation", "Translation"],
  ["accessflag", "AccessFlag"],
  ["permission", "Permission"],
]);

function readFault(text: string, names: HerdNames): Condition {
  const [, agent, label, location, reason] =
    /^fault\s*\(\s*P?(\d+)\s*(?::\s*(\w+))?\s*(?:,\s*(\w+(?:\(\w+\))?))?\s*(?:,\s*(?:D-)?(?:MMU:)?(\w+))?\s*\)$/i.exec(
      text,
    ) ?? [];
  if (agent === undefined)
    throw names.error(`"${text}" is no fault. Write fault(P0:L0,x) or fault(P0,x,MMU:Permission)`);
  if (location !== undefined && names.entry(location) !== undefined)
    throw new UnsupportedError(names.test, "a fault on a page-table entry");
  const type = reason === undefined ? undefined : REASONS.get(reason.toLowerCase());
  if (reason !== undefined && type === undefined)
    throw new UnsupportedError(names.test, `a fault because of "${reason}"`);
  return {
    kind: "fault",
    agent: Number(agent),
    label,
    location: location === undefined ? location : names.location(location),
    type,
  };
}
