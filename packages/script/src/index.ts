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
} from "./script.js";
export { ADVICE, type AccessOp, type Backing, type FileKind, type MapOp, type Op, type Span } from "./ops/op.js";
export { OPS } from "./ops/table.js";
export type { OpSpec } from "./ops/spec.js";

// Errors
export { type Position, ScriptError, type ScriptErrorCode } from "./errors.js";
