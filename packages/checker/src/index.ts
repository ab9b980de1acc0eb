// Models
export { DeclaredState, type Field } from "./engine/declared-state.js";
export type { Invariant, Iteration, Model, ProgressRule, Renaming, Report, Stale, TaskModel } from "./engine/model.js";
export { type Verdict, VerdictError, violation } from "./engine/verdict.js";

// Searching
export type { Exploration, ExploreOptions, Finding, Schedule } from "./engine/exploration.js";
export { explore } from "./engine/explore.js";
export { withinTime } from "./engine/within-time.js";

// Machines
export { type MachineModelOptions, machineModel } from "./machine-model/machine-model.js";
export {
  AGAIN,
  cpuAccesses,
  deviceAccesses,
  type Operation,
  operation,
  STOPS,
  THROUGH,
} from "./machine-model/operation.js";
export { type Problem, type ScriptModel, scriptModel, type ScriptModelOptions } from "./machine-model/script-model.js";
export type { StepRule, Use } from "./machine-model/observed.js";
export type { MachineThread } from "./machine-model/thread-task.js";

// Scenarios that every driver is put through
export { checkScript, type ScriptCheck, type ScriptResult } from "./scenarios/check-script.js";
export { checkScenario, type ScenarioResult, type ScenarioRun } from "./scenarios/check-scenario.js";
export type { Expectation } from "./scenarios/expectation.js";
export type { Scenario } from "./scenarios/scenario.js";
export { scenarios } from "./scenarios/scenarios.js";

// The patch on trial
export {
  type Amendment,
  type PatchCase,
  type PatchQuestion,
  patchQuestions,
  type DriverChoice,
} from "./patch-trial/questions.js";
export { type PatchKernel, patchKernels, type PatchTrial, tryPatch } from "./patch-trial/try-patch.js";

// Counterexamples
export { closingSentence, type Suspect } from "./counterexample/closing.js";
export { toMermaid } from "./counterexample/mermaid.js";
export { toPerfetto, type TraceEvent } from "./counterexample/perfetto.js";
export { type Counterexample, counterexampleOf, replay, type ReplayedStep } from "./counterexample/replay.js";
export { scheduleToString } from "./counterexample/schedule-string.js";
export type { Change } from "./counterexample/snapshot.js";
export { type TableOptions, toTable, wrap } from "./counterexample/table.js";

// Models to measure and to learn from
export { asidAllocator, type AsidAllocatorOptions } from "./models/asid-allocator.js";
export { upgradeProtocol, type UpgradeProtocolOptions } from "./models/upgrade-protocol.js";

// Scenes: small scenarios on real parts
export { Oracle, type FrameUse } from "./scene/oracle.js";
export { READ_ONLY, READ_WRITE, WRITABLE_CLEAN } from "./scene/entry-flags.js";
export { ABORTED, DONE, RETRY, Scene, type SceneModel, type SceneOptions } from "./scene/scene.js";

// Drivers and kernel paths to build scenes from, each with switches for its mistakes
export { Completion } from "./scene/completion.js";
export { TrackedObject } from "./scene/tracked-object.js";
export { contextEntry, iommu, type IommuRules } from "./museum/parts/iommu.js";
export { replacePage, unmapPage, type UnmapOptions } from "./museum/parts/kernel-paths.js";
export { mappingAfterFork, writableMapping } from "./museum/parts/mappings.js";
export { mirror, type Mirror, type MirrorRules } from "./museum/parts/mirror.js";
export { LastRangeCounters } from "./museum/parts/retry-counters.js";
export { shadowMmu, type ShadowRules } from "./museum/parts/shadow-driver.js";
export type { RetryCounters, ShadowMmu } from "./museum/parts/shadow-mmu.js";
export { type InvalidationOrder, smmuWithAts } from "./museum/parts/smmu.js";

// The museum of bugs
export type { ExpectedVerdict, MuseumControl, MuseumEntry, Variant } from "./museum/entry.js";
export { controls } from "./museum/controls/controls.js";
export { museum } from "./museum/museum.js";
export {
  type ControlResult,
  type EntryResult,
  exploreScene,
  type FoundVerdict,
  runControl,
  runEntry,
  type VariantResult,
} from "./museum/run-entry.js";

// Litmus tests
export { compareOutcomes, type Comparison } from "./litmus/compare.js";
export { litmusFromHerd } from "./litmus/herd-reader.js";
export type { JsonTest } from "./litmus/json-form.js";
export { litmusFromJson } from "./litmus/json-reader.js";
export {
  judgeLitmus,
  LITMUS_REASONS,
  type LitmusCase,
  type LitmusJudgement,
  type LitmusReason,
  type LitmusStatus,
  readLitmus,
} from "./litmus/judge.js";
export { type Agents, type LitmusRules, type Mutant, MUTANTS } from "./litmus/rules.js";
export { type LitmusResult, runLitmus } from "./litmus/run.js";
export { LitmusSyntaxError, type LitmusTest, type LitmusVerdict, UnsupportedError } from "./litmus/test.js";

// Errors
export { HiddenStateError, ModelError } from "./engine/errors.js";
