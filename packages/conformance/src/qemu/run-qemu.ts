import type { KernelConfig } from "@mmu-notifier/core";
import { ARENA_MAX, parseScripts, ScriptSession, type SessionOptions } from "@mmu-notifier/script";
import type { QemuCase } from "../corpus.js";
import { describe, type Outcome } from "../divergence.js";
import type { CaseContext } from "../run-options.js";
import { CaptureInterpreter } from "./capture-interpreter.js";
import { type ModelOperation, QemuComparison } from "./compare-qemu.js";
import { MmNames, modelCalls, modelResult } from "./model-calls.js";
import { type ModelFacts, ModelPages } from "./model-pages.js";
import { modelVmas } from "./model-vmas.js";
import { RecordedPages, recordedTransitions, transitionsBetween } from "./page-facts.js";
import type { QemuRecord } from "./qemu-record.js";

/** The machine of the captures: two nodes, huge pages on request (also for shared memory), soft-dirty bits where there are any. */
function qemuMachine(arch: string): Partial<KernelConfig> {
  return { thp: "madvise", shmemThp: "advise", nodes: 2, softDirty: arch.startsWith("x86") };
}

function qemuOptions({ kernel, arch, config, registry }: CaseContext): SessionOptions {
  return {
    kernel,
    arch,
    detail: true,
    snapshots: false,
    // QEMU's arm64 machine has none; on x86-64 the file system lay across the huge pages of the device.
    dax: arch.startsWith("x86") ? "unaligned" : "none",
    config: { ...qemuMachine(arch), ...config },
    ...(registry === undefined ? {} : { registry }),
  };
}

/** Runs one recorded case and compares operation by operation: one outcome each. */
export function* runQemu({ name, records }: QemuCase, context: CaseContext): Generator<Outcome> {
  const run = new QemuRun(name, records, context);
  try {
    for (const step of records.keys()) yield run.step(step);
  } finally {
    run.close();
  }
}

class QemuRun {
  readonly #name: string;
  readonly #records: readonly QemuRecord[];
  readonly #ops: readonly string[];
  readonly #context: CaseContext;
  readonly #session: ScriptSession;
  readonly #interpreter: CaptureInterpreter;
  readonly #comparison: QemuComparison;
  readonly #arena: number;
  readonly #names = new MmNames();
  readonly #recorded: RecordedPages;
  readonly #model: ModelPages;
  readonly #expectedTransitions: Int32Array;
  readonly #gotTransitions: Int32Array;
  #expectedBefore;
  #gotBefore: ModelFacts;
  #error: string | undefined;

  constructor(name: string, records: readonly QemuRecord[], context: CaseContext) {
    this.#name = name;
    this.#records = records;
    this.#context = context;
    this.#arena = arenaOf(records);
    this.#ops = records.map(({ line }) => line);
    const [script] = parseScripts([`== ${name} arena ${this.#arena}`, ...this.#ops, ""].join("\n"), { file: name });
    const host = context.hosts.of("qemu", () => qemuOptions(context));
    this.#session = new ScriptSession(script!, host.options, host.machine);
    this.#interpreter = new CaptureInterpreter(this.#session);
    this.#comparison = new QemuComparison(context.counts, context.leftOut);
    this.#recorded = new RecordedPages(this.#arena);
    this.#model = new ModelPages(this.#session.machine.kernel, this.#session.mm, this.#arena);
    this.#expectedTransitions = new Int32Array(this.#arena);
    this.#gotTransitions = new Int32Array(this.#arena);
    this.#expectedBefore = this.#recorded.read([]);
    this.#gotBefore = this.#model.take();
  }

  step(step: number): Outcome {
    const expected = this.#records[step]!;
    const operation = this.#operate(step);
    if (operation === undefined) {
      this.#context.counts.count("result", false);
      return { ...this.#where(step), diffs: [], ...(this.#error === undefined ? {} : { error: this.#error }) };
    }
    const before = this.#gotBefore;
    const now = this.#model.take();
    const expectedBefore = this.#expectedBefore;
    const expectedNow = this.#recorded.read(expected.pages);
    recordedTransitions(expected.transitions, this.#expectedTransitions);
    // After its exit a process has no pages that could have changed.
    if (expected.op === "exit") this.#gotTransitions.fill(0);
    else transitionsBetween(before, now, this.#gotTransitions);
    const diffs = this.#comparison.compare(expected, operation, {
      expected: { before: expectedBefore, now: expectedNow, transitions: this.#expectedTransitions },
      got: { before, now, transitions: this.#gotTransitions },
    });
    this.#gotBefore = now;
    this.#expectedBefore = expectedNow;
    if (diffs.length === 0) return undefined;
    return {
      ...this.#where(step),
      diffs,
      ...(this.#context.detail ? { happened: operation.happened, via: pathsOf(expected) } : {}),
    };
  }

  #where(step: number): { readonly script: string; readonly step: number; readonly ops: readonly string[] } {
    return { script: this.#name, step, ops: this.#ops.slice(0, step + 1) };
  }

  close(): void {
    this.#session.close();
  }

  #operate(
    step: number,
  ): (ModelOperation & { readonly happened: NonNullable<ReturnType<ScriptSession["run"]>["happened"]> }) | undefined {
    if (this.#error !== undefined) return undefined;
    const { kernel } = this.#session.machine;
    const statement = this.#session.script.statements[step]!;
    try {
      const record = this.#interpreter.run(statement);
      const happened = record.happened ?? [];
      return {
        result: modelResult(statement, record),
        calls: modelCalls(kernel, happened, this.#names),
        vmas: modelVmas(kernel, this.#session.mm),
        happened,
      };
    } catch (error) {
      this.#error = describe(error);
      return undefined;
    }
  }
}

/** Pages that a case's records speak of. */
function arenaOf(records: readonly QemuRecord[]): number {
  let end = 1;
  for (const { vmas } of records) for (const vma of vmas) end = Math.max(end, vma.end);
  return Math.min(end, ARENA_MAX);
}

/** Who called the notifiers on the recorded kernel, each path once. */
function pathsOf({ notifier }: QemuRecord): readonly string[] {
  const paths = notifier.flatMap(({ fn, via }) =>
    via === undefined || via.length === 0 ? [] : [[fn, ...via].join(" <- ")],
  );
  return [...new Set(paths)];
}
