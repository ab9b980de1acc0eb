import type { KernelConfig } from "@mmu-notifier/core";
import { type OpRecord, parseScripts, type Script, ScriptSession, type SessionOptions } from "@mmu-notifier/script";
import type { MmrunCase } from "../corpus.js";
import { describe, type Outcome } from "../divergence.js";
import { CorpusError } from "../errors.js";
import type { CaseContext } from "../run-options.js";
import { MmrunComparison } from "./compare-mmrun.js";

/**
 * The recording machine: huge pages on request, 64 hugetlb pages, one node of 24 GiB, no soft-dirty bits, a disk that reads ahead 8 MiB (the
 * records say so only by their faults: windows of 1 MiB and more agree with all of them, smaller ones do not).
 */
const MMRUN_MACHINE: Partial<KernelConfig> = {
  thp: "madvise",
  hugetlbPages: 64,
  nodes: 1,
  memoryPages: 6_291_456,
  softDirty: false,
  lastFreedFirst: true,
  readAheadPages: 2048,
};
/** A header that says nothing of the machine. */
const RECORDING_MACHINE: Partial<KernelConfig> = {};

/** A session on the model of the machine that the records come from. */
export function mmrunSession(
  script: Script,
  context: CaseContext,
  machine: Partial<KernelConfig> = RECORDING_MACHINE,
): ScriptSession {
  const dialect = machine === RECORDING_MACHINE ? "mmrun" : `mmrun ${JSON.stringify(machine)}`;
  const host = context.hosts.of(dialect, () => mmrunOptions(context, machine));
  return new ScriptSession(script, host.options, host.machine);
}

function mmrunOptions(
  { kernel, arch, config, registry, detail }: CaseContext,
  machine: Partial<KernelConfig>,
): SessionOptions {
  return {
    kernel,
    arch,
    detail,
    config: { ...MMRUN_MACHINE, ...machine, ...config },
    // The oracle's interpreter, which says what machine it runs on, opens a descriptor when a script does not.
    uffdAtRegister: machine !== RECORDING_MACHINE,
    ...(registry === undefined ? {} : { registry }),
  };
}

/** Runs one recorded script and compares operation by operation: one outcome each. */
export function* runMmrun({ name, arena, records, machine }: MmrunCase, context: CaseContext): Generator<Outcome> {
  const ops = records.map(({ op }) => op);
  const [script] = parseScripts([`== ${name} arena ${arena}`, ...ops, ""].join("\n"), { file: name });
  const session = mmrunSession(script!, context, machine);
  const comparison = new MmrunComparison(arena, context.counts, context.leftOut);
  let error: string | undefined;
  try {
    for (const [step, expected] of records.entries()) {
      let got: OpRecord | undefined;
      if (error === undefined) {
        try {
          const statement = script!.statements[step];
          if (statement === undefined) throw new CorpusError(name, step, "the record has no operation");
          got = session.run(statement);
        } catch (thrown) {
          error = describe(thrown);
        }
      }
      if (got === undefined) {
        context.counts.count("result", false);
        yield { script: name, step, ops: ops.slice(0, step + 1), diffs: [], ...(error === undefined ? {} : { error }) };
        continue;
      }
      const diffs = comparison.compare(expected, got);
      const { happened } = got;
      yield diffs.length === 0
        ? undefined
        : { script: name, step, ops: ops.slice(0, step + 1), diffs, ...(happened === undefined ? {} : { happened }) };
    }
  } finally {
    session.close();
  }
}
