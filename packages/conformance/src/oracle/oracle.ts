import { cpus } from "node:os";
import type { KernelConfig } from "@mmu-notifier/core";
import { PluginRegistry } from "@mmu-notifier/machine";
import { parseScripts, type Script, ScriptError } from "@mmu-notifier/script";
import type { Divergence } from "../divergence.js";
import { FieldCounts } from "../field-diff.js";
import { Hosts } from "../hosts.js";
import { LeftOut } from "../left-out.js";
import type { CaseContext } from "../run-options.js";
import { buildInterpreter } from "./build-interpreter.js";
import { encodeScript, suppliesFor } from "./encode-script.js";
import { OracleUnavailableError } from "./errors.js";
import { shrink, type Shrinkable } from "./fuzz/shrink.js";
import { Interpreter } from "./interpreter.js";
import { Judge, type Verdict } from "./judge.js";
import { kernelFor, machineSettings, swapPages } from "./machine-settings.js";
import { missingOracleParts, surroundings } from "./missing.js";

/** How scripts are run on this kernel. */
export interface OracleOptions {
  /** A kernel for the model instead of the one that this machine's release names. */
  readonly kernel?: string;
  readonly arch?: string;
  /** Wins over what the machine is set to. */
  readonly config?: Partial<KernelConfig>;
  readonly registry?: PluginRegistry;
  /** Divergences that are kept in the report; all are counted. */
  readonly keep?: number;
  /** Kept divergences carry what happened inside the operation on the model. */
  readonly detail?: boolean;
  /**
   * Seconds after which a script's process is killed.
   *
   * @defaultValue 10
   */
  readonly seconds?: number;
  /** Ends the work early; the machine is put back as it was. */
  readonly signal?: AbortSignal;
  /** Called after every script. */
  readonly onScript?: (verdict: Verdict) => void;
}

/** This kernel and what the model was made to be like it. */
export interface OracleMachine {
  /** `uname -r`. */
  readonly release: string;
  readonly kernel: string;
  readonly arch: string;
  readonly config: Partial<KernelConfig>;
  /** Settings that the model does not know. */
  readonly notes: readonly string[];
}

/** How this kernel and the model compare. */
export interface OracleReport extends OracleMachine {
  readonly scripts: number;
  readonly ops: number;
  /** Operations that are equal in every field. */
  readonly equal: number;
  readonly fields: FieldCounts["fields"];
  readonly divergences: readonly Divergence[];
  /** What was not compared, and how often. */
  readonly leftOut: LeftOut["counts"];
}

/** Scripts that are on their way at the same time: the kernel works on one while the model works on another. */
const AHEAD = 4;

/** Scripts that one shrinking may run. */
const SHRINK_BUDGET = 1500;

/** The sort of op in which a difference lies, and its first field: two differences of one kind have most likely one cause. */
export function kindOf({ ops, step, diffs: [diff], error }: Divergence): string {
  return `${ops[step]!.split(" ", 1)[0]} ${error ?? diff?.field ?? ""}`;
}

function scriptFrom(name: string, { arena, lines }: Shrinkable): Script | undefined {
  try {
    const [script] = parseScripts(`== ${name} arena ${arena}\n${lines.join("\n")}\n`, { file: name });
    return script!.statements.length === 0 ? undefined : script;
  } catch (error) {
    if (error instanceof ScriptError) return undefined;
    throw error;
  }
}

/** This kernel, ready to be asked. */
export class Oracle {
  readonly machine: OracleMachine;
  readonly #interpreter: Interpreter;
  readonly #registry: PluginRegistry;
  readonly #options: OracleOptions;

  private constructor(
    interpreter: Interpreter,
    machine: OracleMachine,
    registry: PluginRegistry,
    options: OracleOptions,
  ) {
    this.#interpreter = interpreter;
    this.machine = machine;
    this.#registry = registry;
    this.#options = options;
  }

  /**
   * Makes the machine ready for scripts.
   *
   * @throws OracleUnavailableError ORACLE_UNAVAILABLE, OracleError ORACLE_BUILD and ORACLE_INTERPRETER
   */
  static async open(scripts: readonly Script[], options: OracleOptions = {}): Promise<Oracle> {
    const here = surroundings();
    const missing = missingOracleParts(here);
    if (missing.length > 0) throw new OracleUnavailableError(missing);
    const folder = process.env["TMPDIR"] ?? "/var/tmp";
    const interpreter = await Interpreter.start({
      binary: await buildInterpreter(),
      cpu: cpus().length - 1,
      seconds: options.seconds ?? 10,
      folder,
      ...suppliesFor(scripts),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const registry = options.registry ?? PluginRegistry.withCore();
    const { config, notes } = machineSettings(here, folder);
    const { hugePages, swapError } = interpreter.ready;
    const machine: OracleMachine = {
      release: here.release,
      kernel:
        options.kernel ??
        kernelFor(
          here.release,
          registry.list("kernel-profile").map(({ name }) => name),
        ),
      arch: options.arch ?? "x86-64",
      config: { ...config, hugetlbPages: hugePages, swapSlots: swapPages(here), ...options.config },
      notes: swapError === "" ? notes : [...notes, `swap could not be switched on (${swapError})`],
    };
    return new Oracle(interpreter, machine, registry, options);
  }

  /**
   * Runs scripts on the kernel and on the model and compares them record by record.
   *
   * @throws OracleOpError ORACLE_OP, OracleError ORACLE_INTERPRETER and ORACLE_INTERRUPTED
   */
  async compare(scripts: Iterable<Script>): Promise<OracleReport> {
    const { keep = Infinity, onScript, detail = false } = this.#options;
    const counts = new FieldCounts();
    const leftOut = new LeftOut();
    const hosts = new Hosts();
    const judge = this.#judge({ counts, leftOut, hosts, detail });
    const divergences: Divergence[] = [];
    const total = { scripts: 0, ops: 0, equal: 0 };
    const waiting: Promise<Verdict>[] = [];
    const take = async (): Promise<void> => {
      const verdict = await waiting.shift()!;
      total.scripts++;
      total.ops += verdict.ops;
      total.equal += verdict.ops - verdict.divergences.length;
      divergences.push(...verdict.divergences.slice(0, Math.max(0, keep - divergences.length)));
      onScript?.(verdict);
    };
    try {
      for (const script of scripts) {
        const verdict = judge.judge(script);
        verdict.catch(() => undefined);
        if (waiting.push(verdict) >= AHEAD) await take();
      }
      while (waiting.length > 0) await take();
    } finally {
      hosts.close();
    }
    return { ...this.machine, ...total, fields: counts.fields, divergences, leftOut: leftOut.counts };
  }

  /**
   * The smallest script near the given one whose first difference is of the same kind: in the same sort of op, in the same field.
   *
   * @throws OracleError ORACLE_INTERPRETER and ORACLE_INTERRUPTED
   */
  async shrink({ script, divergences: [difference] }: Verdict): Promise<Verdict | undefined> {
    if (difference === undefined) return undefined;
    const kind = kindOf(difference);
    let smallest: Verdict | undefined;
    const hosts = new Hosts();
    const judge = this.#judge({ counts: new FieldCounts(), leftOut: new LeftOut(), hosts, detail: true });
    const fails = async (candidate: Shrinkable): Promise<boolean> => {
      const shrunk = scriptFrom(script.name, candidate);
      if (shrunk === undefined) return false;
      const verdict = await judge.judge(shrunk);
      const [first] = verdict.divergences;
      if (first === undefined || kindOf(first) !== kind) return false;
      smallest = verdict;
      return true;
    };
    try {
      await shrink({ arena: script.arena, lines: difference.ops }, fails, SHRINK_BUDGET);
    } finally {
      hosts.close();
    }
    return smallest;
  }

  #judge(where: Pick<CaseContext, "counts" | "leftOut" | "hosts" | "detail">): Judge {
    const { kernel, arch, config } = this.machine;
    return new Judge((script) => this.#run(script), { ...where, kernel, arch, config, registry: this.#registry });
  }

  #run(script: Script): ReturnType<Interpreter["run"]> {
    return this.#interpreter.runUndisturbed(encodeScript(script, this.#interpreter.ready.swap));
  }

  /** Puts the machine back as it was. */
  async close(): Promise<void> {
    await this.#interpreter.close();
  }
}
