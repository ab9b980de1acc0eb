// Reading scripts
export { parseScripts, type ParseOptions } from "./parse.js";
export {
  ARENA_BASE,
  ARENA_MAX,
  ARENA_PAGE,
  ARENA_REACH,
  type DeviceLine,
  type DeviceOption,
  type Script,
  SLACK_PAGES,
  type Statement,
  storedByte,
} from "./script.js";
export {
  ADVICE,
  type AccessOp,
  type Backing,
  type FileKind,
  type MapOp,
  type Op,
  type OpOf,
  type Span,
} from "./ops/op.js";
export { builtInFiles, fileNames, type NewFile, type ReadOnlyFile } from "./built-in-files.js";
export { OPS } from "./ops/table.js";
export type { OpSpec } from "./ops/spec.js";

// Running scripts
export { ScriptHost } from "./run/script-host.js";
export { type ScriptAccess, ScriptSession } from "./run/session.js";
export type { SessionOptions } from "./run/session-options.js";
export { isInArena, placeOf, touchesArena } from "./run/place.js";
export type { EventRecord, Happening, Livelock, OpRecord, OpResult, Place, Who } from "./run/record.js";
export { VMA_FLAG_LETTERS, type VmaRecord } from "./snapshot/vma-snapshot.js";
export { smapsFlags } from "./snapshot/smaps-flags.js";
export { PageSnapshots, type PageRun } from "./snapshot/page-snapshot.js";
export { PageView } from "./snapshot/page-view.js";

// How a driver fares when pages become writable
export { UPGRADE_SCENARIOS, type UpgradeScenario, type Variant } from "./verdicts/scenarios.js";
export { runTrial, type Trial } from "./verdicts/trial.js";
export { type Paint, verdictCell, verdictsOf, verdictTable } from "./verdicts/verdict-table.js";

// Errors
export { type Position, ScriptError, type ScriptErrorCode } from "./errors.js";
