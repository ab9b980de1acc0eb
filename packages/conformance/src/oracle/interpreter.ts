import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Script } from "@mmu-notifier/script";
import type { EncodedScript, Supplies } from "./encode-script.js";
import { OracleError } from "./errors.js";
import { type KernelRun, kernelRun } from "./kernel-run.js";
import type { RawExit, RawRecord } from "./raw-record.js";

/** How the interpreter is started. */
export interface InterpreterOptions extends Supplies {
  readonly binary: string;
  /** The CPU that scripts run on. */
  readonly cpu: number;
  /** Seconds after which a script is killed. */
  readonly seconds: number;
  /** A folder on a disk file system: for the scripts' file, and for swap. */
  readonly folder: string;
  /** Ends the interpreter, also while it makes the machine ready. */
  readonly signal?: AbortSignal;
}

/** What the machine has once the interpreter has made it ready. */
export interface Ready {
  readonly keeper: number;
  /** hugetlb pages that are free. */
  readonly hugePages: number;
  /** The oracle's own swap file, or "". */
  readonly swap: string;
  /** Why the swap file could not be switched on, or "". */
  readonly swapError: string;
}

interface Failure {
  readonly fail: string;
  readonly error: string;
}

type Line = { readonly ready: Ready } | { readonly pid: number } | RawRecord | RawExit | Failure;

interface Waiting {
  readonly encoded: EncodedScript;
  readonly resolve: (run: KernelRun) => void;
  readonly reject: (error: Error) => void;
  pid: number;
  readonly records: RawRecord[];
  failure: Failure | undefined;
}

/** What the keeper says of a script that it killed: an op that does not end is something that a kernel does. */
const TIMED_OUT = -14;

/** A script that makes the kernel compact memory does so every time. */
const MORE_TRIES = 3;

/** What to do when the interpreter says that something did not work. */
const REMEDIES: Readonly<Record<string, string>> = {
  ":ring": "io_uring is switched off; echo 0 > /proc/sys/kernel/io_uring_disabled",
  KVM_CREATE_VM: "load kvm_intel or kvm_amd; the processor has to support virtual machines",
  userfaultfd: "boot a kernel with CONFIG_USERFAULTFD",
  PAGEMAP_SCAN: "boot Linux 6.7 or newer",
  hugetlb: "boot a kernel with CONFIG_HUGETLBFS and leave memory for huge pages",
  disk: "set TMPDIR to a folder on a disk file system",
};

/**
 * The interpreter's process. Scripts are handed over at once and answered in order; closing it, or the end of this process for
 * whatever reason, puts the machine back as it was.
 */
export class Interpreter {
  readonly ready: Ready;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #options: InterpreterOptions;
  readonly #queue: Waiting[] = [];
  readonly #ended: Promise<unknown>;
  #error = "";
  #closing = false;
  readonly #abort = (): void => void this.close();

  private constructor(process: ChildProcessWithoutNullStreams, options: InterpreterOptions, ready: Ready) {
    this.#process = process;
    this.#options = options;
    this.ready = ready;
    this.#ended = once(process, "close").then(() => this.#putBack());
    process.stderr.setEncoding("utf8").on("data", (text: string) => (this.#error += text));
    process.stdin.on("error", () => undefined);
    process.on("close", () => this.#fail());
  }

  /**
   * @throws OracleError ORACLE_INTERPRETER when the machine cannot be made ready, ORACLE_INTERRUPTED
   */
  static async start(options: InterpreterOptions): Promise<Interpreter> {
    const words = [options.cpu, options.seconds, options.folder, options.hugePages, options.swapPages].map(String);
    // A group of its own: an interrupt from the terminal reaches this process only, which then lets it finish.
    const process = spawn(options.binary, words, { stdio: ["pipe", "pipe", "pipe"], detached: true });
    const lines = createInterface({ input: process.stdout, crlfDelay: Infinity });
    const first = await firstLine(lines, process);
    if (!("ready" in first)) throw failure(first, options);
    const interpreter = new Interpreter(process, options, first.ready);
    const { signal } = options;
    if (signal?.aborted === true) {
      await interpreter.close();
      throw interrupted();
    }
    signal?.addEventListener("abort", interpreter.#abort);
    lines.on("line", (text) => interpreter.#line(JSON.parse(text) as Line));
    return interpreter;
  }

  /**
   * Runs a script on the kernel. One that takes too long has fewer records than operations.
   *
   * @throws OracleError ORACLE_INTERPRETER when it cannot
   */
  run(encoded: EncodedScript): Promise<KernelRun> {
    if (this.#closing) return Promise.reject(interrupted());
    return new Promise((resolve, reject) => {
      this.#queue.push({ encoded, resolve, reject, pid: 0, records: [], failure: undefined });
      this.#process.stdin.write(encoded.text);
    });
  }

  /** Runs a script again while compaction moved pages about: its flushes show where the script's process does something next. */
  async runUndisturbed(encoded: EncodedScript): Promise<KernelRun> {
    let run = await this.run(encoded);
    for (let i = 0; i < MORE_TRIES && run.compacted > 0; i++) run = await this.run(encoded);
    return run;
  }

  /** Ends the interpreter, also in the middle of a script, and waits until the machine is as it was. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#process.stdin.end();
    await this.#ended;
  }

  /** A keeper that was killed or crashed has not put anything back; the next one does. */
  async #putBack(): Promise<void> {
    if (this.#process.signalCode !== null)
      await once(spawn(this.#options.binary, ["put-back"], { stdio: "ignore" }), "close");
  }

  #line(line: Line): void {
    const waiting = this.#queue[0];
    if (waiting === undefined) return;
    if ("r" in line) waiting.records.push(line);
    else if ("pid" in line) waiting.pid = line.pid;
    else if ("fail" in line) waiting.failure = line;
    else if ("exit" in line) {
      this.#queue.shift();
      this.#finish(waiting, line);
    }
  }

  #finish({ encoded, pid, records, failure: said, resolve, reject }: Waiting, exit: RawExit): void {
    const { script } = encoded;
    if (this.#closing) reject(interrupted());
    else if (said !== undefined) reject(failure(said, this.#options, script.name));
    else if (endedEarly(script, records.length, exit)) {
      const at = script.statements[records.length]!;
      reject(
        new OracleError(
          "ORACLE_INTERPRETER",
          `${script.file}:${at.position.line}: the process of script ${script.name} ended with ${exit.exit} at ${JSON.stringify(at.text)}`,
          { script: script.name, op: at.text },
        ),
      );
    } else resolve(kernelRun(script, { pid, records, exit }));
  }

  #fail(): void {
    const error = this.#closing
      ? interrupted()
      : new OracleError(
          "ORACLE_INTERPRETER",
          `the interpreter ended (${this.#process.signalCode ?? this.#process.exitCode}): ${this.#error}`,
        );
    for (const { reject } of this.#queue.splice(0)) reject(error);
  }
}

function interrupted(): OracleError {
  return new OracleError("ORACLE_INTERRUPTED", "interrupted; the machine is as it was before");
}

async function firstLine(lines: AsyncIterable<string> & NodeJS.EventEmitter, process: ChildProcessWithoutNullStreams) {
  const ended = once(process, "close").then(() => undefined);
  const line = await Promise.race([once(lines, "line"), ended]);
  if (line === undefined) return { fail: "start", error: `exit ${process.exitCode ?? "signal"}` };
  return JSON.parse(String(line[0])) as { readonly ready: Ready } | Failure;
}

function failure({ fail, error }: Failure, { folder }: InterpreterOptions, script?: string): OracleError {
  const remedy = REMEDIES[fail] ?? `see what ${error} means there`;
  const where = script === undefined ? "" : `script ${script}: `;
  return new OracleError("ORACLE_INTERPRETER", `${where}${fail} failed with ${error} (files in ${folder}): ${remedy}`, {
    what: fail,
    error,
  });
}

/** The process of a script ended before its last op, which may be its exit. */
function endedEarly({ statements }: Script, records: number, { exit }: RawExit): boolean {
  if (records === statements.length || exit === TIMED_OUT) return false;
  return !(exit === 0 && statements[records]!.op.kind === "exit");
}
