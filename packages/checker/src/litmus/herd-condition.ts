import type { HerdNames } from "./herd-names.js";
import type { Condition } from "./test.js";

const TOKEN =
  /\s*(\/\\|\\\/|~|not\b|\(|\)|fault\s*\([^)]*\)|\d+:[XW]\d+\s*=\s*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)|PTE\(\w+\)|\w+)|\[?(?:PTE\(\w+\)|\w+)\]?\s*=\s*(?:\([^()]*(?:\([^()]*\)[^()]*)*\)|PTE\(\w+\)|\w+)|true)/y;

/**
 * Reads what stands behind `exists`, `~exists` or `forall`.
 *
 * @throws LitmusSyntaxError LITMUS_SYNTAX
 */
export function readCondition(text: string, names: HerdNames): Condition {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  for (let at = 0; text.slice(at).trim() !== ""; at = TOKEN.lastIndex) {
    const match = TOKEN.exec(text);
    if (match === null) throw names.error(`the condition is not understood from "${text.slice(at).trim()}" on`);
    tokens.push(match[1]!);
  }
  let at = 0;
  const either = (): Condition => joined("\\/", "or", both);
  const both = (): Condition => joined("/\\", "and", single);
  const joined = (separator: string, kind: "and" | "or", part: () => Condition): Condition => {
    const parts = [part()];
    while (tokens[at] === separator) {
      at++;
      parts.push(part());
    }
    return parts.length === 1 ? parts[0]! : { kind, parts };
  };
  const single = (): Condition => {
    const token = tokens[at++];
    if (token === "~" || token === "not") return { kind: "not", part: single() };
    if (token === "true") return { kind: "and", parts: [] };
    if (token !== "(") return readAtom(token ?? "", names);
    const inner = either();
    if (tokens[at++] !== ")") throw names.error(`a parenthesis of the condition is not closed`);
    return inner;
  };
  const condition = either();
  if (at !== tokens.length) throw names.error(`the condition goes on with "${tokens[at]}" where it should end`);
  return condition;
}

/** Reads `0:X1=1`, `[x]=1`, `x=1`, `[PTE(x)]=(valid:0)` or `fault(P0:L0,x)`; without a value it asks for 0. */
export function readAtom(text: string, names: HerdNames): Condition {
  const fault = /^fault\s*\(\s*P?(\d+)\s*(?::\s*(\w+))?\s*(?:,\s*(\w+))?\s*(?:,\s*(?:MMU:)?(\w+))?\s*\)$/i.exec(text);
  if (fault !== null) {
    const [, agent, label, location, type] = fault;
    if (location === undefined) throw names.error(`"${text}" does not say at which location`);
    return { kind: "fault", agent: Number(agent), label, location: names.location(location), type };
  }
  const [, what = "", value = "0"] = /^([^=]+?)\s*(?:=\s*([^]+))?$/.exec(text) ?? [];
  const register = /^(\d+):[XW](\d+)$/.exec(what);
  if (register !== null)
    return { kind: "register", agent: Number(register[1]), register: Number(register[2]), value: names.value(value) };
  const entry = /^\[?PTE\((\w+)\)\]?$/.exec(what);
  if (entry !== null) {
    const location = names.location(entry[1]!);
    return { kind: "entry", location, value: names.value(value, location) };
  }
  const memory = /^\[?(\w+)\]?$/.exec(what);
  if (memory === null) throw names.error(`"${text}" is nothing that can be asked about`);
  return { kind: "memory", location: names.location(memory[1]!), value: names.value(value) };
}
