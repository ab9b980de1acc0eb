export { type DriverKind, KINDS, type Plan, planOf, UsageError, writeDriver } from "./write-driver.js";
