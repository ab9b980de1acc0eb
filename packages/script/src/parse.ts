import { didYouMean } from "@mmu-notifier/steps";
import { decode } from "./decode.js";
import { Draft } from "./draft.js";
import { type Position, quoted, ScriptError } from "./errors.js";
import { Line } from "./line.js";
import { ACCESSES_MAX } from "./ops/spec.js";
import { OPS, opNamed } from "./ops/table.js";
import { ARENA_MAX, type DeviceOption, type Script, type Statement } from "./script.js";

const DIRECTIVES: Readonly<Record<string, string>> = {
  "==": "== NAME [arena PAGES]",
  kernel: "kernel NAME",
  arch: "arch NAME",
  device: "device NAME driver DRIVER [KEY=VALUE …]",
  dev: "dev NAME read|write PAGE [N]",
  thread: "thread NAME {",
};

/** How a script is read. */
export interface ParseOptions {
  /** Name for messages, and of a script without a `==` line. */
  readonly file?: string;
}

class Parser {
  readonly #file: string;
  readonly #scripts: Draft[] = [];
  /** What stands before the first `==` line. */
  readonly #preamble: Draft;
  #current: Draft;
  #thread: { readonly name: string; readonly position: Position } | undefined;

  constructor(file: string) {
    this.#file = file;
    this.#preamble = new Draft(scriptName(file), 64, { line: 1, column: 1 });
    this.#current = this.#preamble;
  }

  line(line: Line): void {
    if (line.empty) return;
    const start = line.position;
    const first = line.word("an op");
    switch (first) {
      case "==":
        return this.#header(line, start);
      case "kernel":
        return this.#directive(
          line,
          () => (this.#current.kernel = line.name("a kernel such as v6.12")),
          DIRECTIVES["kernel"]!,
        );
      case "arch":
        return this.#directive(
          line,
          () => (this.#current.arch = line.name("an architecture such as arm64")),
          DIRECTIVES["arch"]!,
        );
      case "device":
        return this.#directive(line, () => this.#device(line, start), DIRECTIVES["device"]!);
      case "thread":
        return this.#openThread(line, start);
      case "}":
        return this.#closeThread(line, start);
      case "dev":
        return this.#deviceAccess(line, start);
      default:
        return this.#op(first, line, start);
    }
  }

  finish(): readonly Script[] {
    this.#threadMustBeClosed();
    const scripts = this.#scripts.map((draft) => draft.finish(this.#file));
    if (this.#preamble.statements.length > 0) scripts.unshift(this.#preamble.finish(this.#file));
    return scripts;
  }

  #error(
    code: "SCRIPT_UNKNOWN_OP" | "SCRIPT_DUPLICATE" | "SCRIPT_BLOCK",
    at: Position,
    what: string,
    name = "",
  ): ScriptError {
    return new ScriptError(code, this.#file, at, what, name === "" ? {} : { name });
  }

  #threadMustBeClosed(): void {
    if (this.#thread === undefined) return;
    const { name, position } = this.#thread;
    throw this.#error(
      "SCRIPT_BLOCK",
      position,
      `thread ${quoted(name)} is opened here and never closed: expected a line with } after its last op`,
      name,
    );
  }

  #header(line: Line, start: Position): void {
    this.#threadMustBeClosed();
    const name = line.word("a name for the script");
    if (this.#scripts.some((script) => script.name === name)) {
      throw this.#error("SCRIPT_DUPLICATE", start, `there is a script ${quoted(name)} in this file already`, name);
    }
    let arena = 64;
    if (line.left > 0) {
      if (!line.take("arena")) throw line.expected("arena");
      const at = line.position;
      arena = line.integer("the arena's size in pages", 1);
      if (arena > ARENA_MAX) {
        throw new ScriptError(
          "SCRIPT_EXPECTED",
          this.#file,
          at,
          `expected an arena of 1 to ${ARENA_MAX} pages, found ${arena}.`,
          {
            expected: `1 to ${ARENA_MAX}`,
            found: `${arena}`,
          },
        );
      }
    }
    line.end(DIRECTIVES["=="]!);
    this.#current = new Draft(name, arena, start, this.#preamble);
    this.#scripts.push(this.#current);
  }

  #directive(line: Line, read: () => void, usage: string): void {
    if (this.#thread !== undefined) {
      throw this.#error(
        "SCRIPT_BLOCK",
        line.position,
        `${quoted(usage.split(" ", 1)[0]!)} stands outside of thread blocks: close thread ${quoted(this.#thread.name)} first`,
      );
    }
    read();
    line.end(usage);
  }

  #device(line: Line, start: Position): void {
    const name = line.name("a name for the device");
    if (this.#current.devices.some((device) => device.name === name)) {
      throw this.#error("SCRIPT_DUPLICATE", start, `there is a device ${quoted(name)} already`, name);
    }
    if (!line.take("driver")) throw line.expected("driver");
    const driver = line.word("the name or path of a driver");
    const options: Record<string, DeviceOption> = {};
    while (line.left > 0) {
      const match = /^([\w-]+)(?:=(.*))?$/s.exec(line.peek()!);
      if (match === null) throw line.expected("an option written key=value");
      line.word("an option");
      options[match[1]!] = deviceOption(match[2]);
    }
    this.#current.devices.push({ name, driver, options, position: start });
  }

  #openThread(line: Line, start: Position): void {
    if (this.#thread !== undefined) {
      throw this.#error(
        "SCRIPT_BLOCK",
        start,
        `a thread block cannot stand inside another: close thread ${quoted(this.#thread.name)} first`,
      );
    }
    const name = line.name("a name for the thread");
    if (this.#current.threads.includes(name)) {
      throw this.#error("SCRIPT_DUPLICATE", start, `there is a thread ${quoted(name)} already`, name);
    }
    if (!line.take("{")) throw line.expected("{");
    line.end(DIRECTIVES["thread"]!);
    this.#thread = { name, position: start };
    this.#current.threads.push(name);
  }

  #closeThread(line: Line, start: Position): void {
    if (this.#thread === undefined) throw this.#error("SCRIPT_BLOCK", start, "there is no thread block to close here");
    line.end("}");
    this.#thread = undefined;
  }

  #deviceAccess(line: Line, position: Position): void {
    const name = line.peek();
    const { devices } = this.#current;
    if (name !== undefined && !devices.some((device) => device.name === name)) {
      throw line.error(
        "SCRIPT_UNDECLARED",
        `there is no device ${quoted(name)}. Add a line \`device ${/^[\w.-]+$/.test(name) ? name : "NAME"} driver DRIVER\` before it.${didYouMean(
          name,
          devices.map((device) => device.name),
        )}`,
        { name },
      );
    }
    const device = line.name("the name of a device");
    const write = line.oneOf("an access", ["read", "write"]) === "write";
    const start = line.integer("a page");
    const pages = line.optionalInteger("a number of pages", 1, 1, ACCESSES_MAX);
    const value = write && line.left > 0 ? line.integer("a byte to store") : undefined;
    line.end(DIRECTIVES["dev"]!);
    this.#push(line, position, { kind: "device-access", device, write, start, pages, value });
  }

  #op(first: string, line: Line, start: Position): void {
    const spec = opNamed(first);
    if (spec === undefined) {
      const known = [...OPS.map((op) => op.name), ...Object.keys(DIRECTIVES).slice(1)];
      throw this.#error(
        "SCRIPT_UNKNOWN_OP",
        start,
        `expected an op, found ${quoted(first)}.${didYouMean(first, known)}`,
        first,
      );
    }
    const op = spec.parse(line, this.#current);
    line.end(spec.usage);
    this.#push(line, start, op);
  }

  #push(line: Line, position: Position, op: Statement["op"]): void {
    const { statements } = this.#current;
    statements.push({ index: statements.length, op, text: line.text, position, thread: this.#thread?.name });
  }
}

/** The file's name without folder and `.mm`. */
function scriptName(file: string): string {
  return file.replace(/^.*[\\/]/, "").replace(/\.mm$/, "") || "script";
}

function deviceOption(text: string | undefined): DeviceOption {
  if (text === undefined || text === "true") return true;
  if (text === "false") return false;
  return /^-?(?:0x[0-9a-f]+|\d+(?:\.\d+)?)$/i.test(text) ? Number(text) : text;
}

/**
 * Reads a script file: every `== NAME arena PAGES` starts a script; ops before the first one are a script named after the file,
 * directives there hold for all.
 *
 * @throws ScriptError at the first word that is not what belongs there, and nothing else, whatever the bytes.
 * @example
 * parseScripts("== upgrade arena 16\nmap 0 4 rw- p anon\nwrite 0\n")[0].statements.length // 2
 * @public
 */
export function parseScripts(source: string | Uint8Array, options: ParseOptions = {}): readonly Script[] {
  const { file = "script.mm" } = options;
  const parser = new Parser(file);
  decode(source, file)
    .split(/\r\n|\n|\r/)
    .forEach((text, index) => parser.line(new Line(file, index + 1, text)));
  return parser.finish();
}
