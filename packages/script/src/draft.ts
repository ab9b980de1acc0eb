import { didYouMean } from "@mmu-notifier/steps";
import { type Position, quoted } from "./errors.js";
import type { Line } from "./line.js";
import type { Scope } from "./ops/spec.js";
import type { DeviceLine, Script, Statement } from "./script.js";

/** A script under construction; also the scope of its names. */
export class Draft implements Scope {
  readonly devices: DeviceLine[];
  readonly threads: string[] = [];
  readonly statements: Statement[] = [];
  readonly #children = new Map<string, number>();
  #forks = 0;
  kernel: string | undefined;
  arch: string | undefined;

  constructor(
    readonly name: string,
    readonly arena: number,
    readonly position: Position,
    defaults?: Draft,
  ) {
    this.devices = [...(defaults?.devices ?? [])];
    this.kernel = defaults?.kernel;
    this.arch = defaults?.arch;
  }

  fork(name: string | undefined): number {
    if (name !== undefined) this.#children.set(name, this.#forks);
    return this.#forks++;
  }

  child(line: Line): number {
    const text = line.peek();
    if (text !== undefined && /^\d+$/.test(text)) return line.integer("a child");
    const known = text === undefined ? undefined : this.#children.get(text);
    if (known === undefined) {
      if (text === undefined) throw line.expected("a child (its number, or the name that fork gave it)");
      throw line.error(
        "SCRIPT_UNDECLARED",
        `no fork before this line made a child ${quoted(text)}. Children are numbered from 0; \`fork NAME\` gives a name.${didYouMean(text, this.#children.keys())}`,
        { name: text },
      );
    }
    line.word("a child");
    return known;
  }

  finish(file: string): Script {
    const { name, arena, kernel, arch, devices, threads, statements, position } = this;
    return { name, file, arena, kernel, arch, devices, threads, statements, children: this.#forks, position };
  }
}
