// The suite
export { secondaryMmuSuite, type SuiteCase, suiteCases } from "./suite.js";
export type { Skip, SuiteOptions } from "./options.js";

// Linux's own tests of mirrors
export { hmmTests, type HmmTestsOptions, hmmTestsLeftOut } from "./hmm/hmm-tests.js";

// Scripts in a driver's own tests
export { runOps, type RunOpsOptions, type ScriptRun, stuckTrials } from "./script-run.js";

// Errors
export { TestkitError } from "./errors.js";
