// Comparing the model with recorded kernels
export { conform, type ConformOptions, type SetReport, unstableScripts } from "./conform.js";
export type { Divergence } from "./divergence.js";
export type { FieldDiff } from "./field-diff.js";

// Asking this machine's kernel
export { kindOf, Oracle, type OracleMachine, type OracleOptions, type OracleReport } from "./oracle/oracle.js";
export type { Verdict } from "./oracle/judge.js";
export { type FuzzedScript, fuzzProfiles, fuzzScript } from "./oracle/fuzz/generate.js";
export { shrink, type Shrinkable } from "./oracle/fuzz/shrink.js";
export { buildInterpreter } from "./oracle/build-interpreter.js";
export { type EncodedScript, encodeScript } from "./oracle/encode-script.js";
export { type KernelRun, kernelRun } from "./oracle/kernel-run.js";
export { kernelFor, type MachineSettings, machineSettings } from "./oracle/machine-settings.js";
export { missingOracleParts, type Surroundings, surroundings } from "./oracle/missing.js";
export type { RawRecord, RawRun } from "./oracle/raw-record.js";
export { type Missing, OracleError, OracleOpError, OracleUnavailableError } from "./oracle/errors.js";

// Record formats
export {
  type CorpusCase,
  type MmrunCase,
  type MmrunExit,
  originOf,
  type ProbeCase,
  type ProbeRecord,
  type QemuCase,
  readCorpus,
  type SetOrigin,
} from "./corpus.js";
export type { WriteClass, WriteRun } from "./mmrun/write-bits.js";
export type {
  QemuCall,
  QemuFault,
  QemuPages,
  QemuRecord,
  QemuResult,
  QemuSetAccessFlags,
  QemuTransition,
  QemuVma,
} from "./qemu/qemu-record.js";

// Errors
export { CorpusError } from "./errors.js";
