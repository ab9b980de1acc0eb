import { ACCESS_OPS } from "./access.js";
import { ADDRESS_SPACE_OPS } from "./address-space.js";
import { FILE_OPS } from "./files.js";
import type { OpSpec } from "./spec.js";
import { SYSTEM_OPS } from "./system.js";

/** Every op of the language, in the order help prints them. */
export const OPS: readonly OpSpec[] = [...ADDRESS_SPACE_OPS, ...ACCESS_OPS, ...FILE_OPS, ...SYSTEM_OPS];

const BY_NAME: ReadonlyMap<string, OpSpec> = new Map(OPS.map((op) => [op.name, op]));

/** The op that a first word names. */
export function opNamed(name: string): OpSpec | undefined {
  return BY_NAME.get(name);
}
