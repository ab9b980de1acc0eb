// Reading traces
export { readProgramTrace } from "./read/program-trace.js";
export type {
  AgeRecord,
  CallRecord,
  ExecRecord,
  ExitRecord,
  FaultRecord,
  FlushRecord,
  MapsRecord,
  NewRecord,
  NotifyRecord,
  ReturnRecord,
  TraceRecord,
  VmaRecord,
} from "./read/trace-record.js";
export {
  expandRuns,
  type PageTraceCall,
  type PageTraceOptions,
  type PageTracePart,
  readPageTrace,
} from "./read/page-trace.js";
export { shippedTraces } from "./shipped-traces.js";
export type { ReadProgress, TraceSource } from "./read/chunks.js";

// TLB-accurate replay
export { RegionTable } from "./tlb/region-table.js";
export {
  createTlbReplay,
  DEFAULT_TLB,
  MAPPED,
  type TlbBackend,
  type TlbCounters,
  type TlbGeometry,
  type TlbReplay,
  WRITABLE,
} from "./tlb/tlb-replay.js";
export { DemandMemory } from "./tlb/demand-memory.js";
export { type StrippedTrace, stripTrace } from "./tlb/strip.js";

export { MachineMemory } from "./tlb/machine-memory.js";

// Replaying
export { replayFile, traceFormat, type TraceFormat } from "./replay-file.js";
export { replayProgram } from "./replay-program.js";
export { replayPages } from "./replay-pages.js";
export { PageReplay } from "./page-replay.js";
export { REPLAY_ARCH, REPLAY_KERNEL, type ReplayDrivers, type ReplayOptions, type ReplayProgress } from "./options.js";
export { type DevicePolicy, WINDOW } from "./program/replay-devices.js";

// Reports
export type { LateRelease } from "./program/process-table.js";
export { renderReport } from "./render.js";
export type {
  DeviceReport,
  FaultCounts,
  PageReport,
  ProcessReport,
  ProgramReport,
  ReplayReport,
  UpgradeCost,
  UpgradeReport,
} from "./program/report.js";
export {
  type Agreement,
  agreementShare,
  compareRanges,
  type Comparison,
  type NotifiedRange,
} from "./program/agreement.js";

// Errors
export { ReplayError, type ReplayErrorCode, TraceError, type TraceErrorCode, type TracePosition } from "./errors.js";
