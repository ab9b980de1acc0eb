// The suite
export { secondaryMmuSuite, type SuiteCase, suiteCases } from "./suite.js";
export type { Skip, SuiteOptions } from "./options.js";

// Errors
export { TestkitError } from "./errors.js";
