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

// Errors
export { ReplayError, type ReplayErrorCode, TraceError, type TraceErrorCode, type TracePosition } from "./errors.js";
