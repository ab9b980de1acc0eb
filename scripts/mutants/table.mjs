import { BUS } from "./bus.mjs";
import { DRIVERS } from "./drivers.mjs";
import { SDK } from "./sdk.mjs";

/** Small mistakes, each one change of a built file: what a hurried author writes. */
export const MUTANTS = [...DRIVERS, ...SDK, ...BUS];
