// Comparing the model with recorded kernels
export { conform, type ConformOptions, type SetReport, unstableScripts } from "./conform.js";
export type { Divergence } from "./divergence.js";
export type { FieldDiff } from "./field-diff.js";

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
