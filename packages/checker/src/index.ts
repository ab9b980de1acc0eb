// Models
export { DeclaredState, type Field } from "./engine/declared-state.js";
export type { Invariant, Iteration, Model, ProgressRule, Renaming, TaskModel } from "./engine/model.js";
export { type Verdict, VerdictError, violation } from "./engine/verdict.js";

// Searching
export type { Exploration, ExploreOptions, Finding, Schedule } from "./engine/exploration.js";
export { explore } from "./engine/explore.js";

// Models to measure and to learn from
export { upgradeProtocol, type UpgradeProtocolOptions } from "./models/upgrade-protocol.js";

// Errors
export { HiddenStateError, ModelError } from "./engine/errors.js";
