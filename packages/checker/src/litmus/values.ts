/**
 * What a register or a memory cell of a litmus test holds, as one int32: a small number, the address of a location, the address
 * of its page-table entry, its page number, or an entry. The kind is in the high bits.
 */
export type Value = number;

const NUMBER_LIMIT = 1 << 24;
const KIND_SHIFT = 24;
const ADDRESS = 1;
const ENTRY_ADDRESS = 2;
const PAGE = 3;
const ENTRY = 4;
const PAYLOAD = NUMBER_LIMIT - 1;

/** Bits of an entry below the number of its output location. */
export const VALID = 1;
export const ACCESSED = 2;
/** The entry lets stores through: DB, the inverse of AP[2]. */
export const WRITE = 4;
/** Dirty bit modifier: hardware may set {@link WRITE}. */
export const DBM = 8;
/** EL0 has no right: el0:0, AP[1] clear. */
export const PRIVILEGED = 16;
const OUTPUT_SHIFT = 5;

/** Reasons of a fault, in the order they are checked. */
export const FAULTS = ["Translation", "AccessFlag", "Permission"] as const;
export const TRANSLATION = 0;
export const ACCESS_FLAG = 1;
export const PERMISSION = 2;

/** A page-table entry as litmus tests write it. */
export interface EntryFields {
  /** Number of the location it maps to. */
  readonly output: number;
  readonly valid: boolean;
  readonly accessed: boolean;
  readonly write: boolean;
  readonly dbm: boolean;
  readonly privileged: boolean;
}

export const addressOf = (location: number): Value => (ADDRESS << KIND_SHIFT) | location;
export const entryAddressOf = (location: number): Value => (ENTRY_ADDRESS << KIND_SHIFT) | location;
export const pageOf = (location: number): Value => (PAGE << KIND_SHIFT) | location;

export function entryOf({ output, valid, accessed, write, dbm, privileged }: EntryFields): Value {
  const rights = (write ? WRITE : 0) | (dbm ? DBM : 0) | (privileged ? PRIVILEGED : 0);
  const bits = (valid ? VALID : 0) | (accessed ? ACCESSED : 0) | rights;
  return (ENTRY << KIND_SHIFT) | (output << OUTPUT_SHIFT) | bits;
}

const kindOf = (value: Value): number => value >> KIND_SHIFT;
export const isNumber = (value: Value): boolean => kindOf(value) === 0;
export const isAddress = (value: Value): boolean => kindOf(value) === ADDRESS;
export const isEntryAddress = (value: Value): boolean => kindOf(value) === ENTRY_ADDRESS;
export const isPage = (value: Value): boolean => kindOf(value) === PAGE;
export const isEntry = (value: Value): boolean => kindOf(value) === ENTRY;

/** The location that an address, entry address or page is about. */
export const locationOf = (value: Value): number => value & PAYLOAD;
/** The location an entry maps to. */
export const outputOf = (entry: Value): number => (entry & PAYLOAD) >> OUTPUT_SHIFT;

/** An entry as herd prints it: only what differs from a valid, accessed, writable one. */
export function showEntry(entry: Value, names: readonly string[]): string {
  const parts = [`oa:PA(${names[outputOf(entry)]})`];
  if ((entry & ACCESSED) === 0) parts.push("af:0");
  if ((entry & WRITE) === 0) parts.push("db:0");
  if ((entry & DBM) !== 0) parts.push("dbm:1");
  if ((entry & VALID) === 0) parts.push("valid:0");
  if ((entry & PRIVILEGED) !== 0) parts.push("el0:0");
  return `(${parts.join(", ")})`;
}

/** A value as herd prints it. */
export function showValue(value: Value, names: readonly string[]): string {
  if (isNumber(value)) return String(value);
  if (isEntry(value)) return showEntry(value, names);
  const name = names[locationOf(value)]!;
  if (isEntryAddress(value)) return `PTE(${name})`;
  return isPage(value) ? `page(${name})` : name;
}

/** Bits of a descriptor that instructions may work on, with what they are called here; AP[2] says the contrary of {@link WRITE}. */
const DESCRIPTOR = [
  [1, VALID],
  [1 << 6, PRIVILEGED],
  [1 << 7, WRITE],
  [1 << 10, ACCESSED],
] as const;
/** The bits that are clear where ours are set. */
const INVERTED = PRIVILEGED | WRITE;
/** All bits of {@link descriptorBits}. */
export const DESCRIPTOR_MASK = DESCRIPTOR.reduce((mask, [bit]) => mask | bit, 0);

/** The low bits of an entry as Arm's stage-1 page descriptor has them: V, AP[1], AP[2], AF. */
export function descriptorBits(entry: Value): number {
  return DESCRIPTOR.reduce((bits, [bit, ours]) => (((entry ^ INVERTED) & ours) !== 0 ? bits | bit : bits), 0);
}

/** The entry with other low bits. */
export function withDescriptorBits(entry: Value, bits: number): Value {
  return DESCRIPTOR.reduce(
    (changed, [bit, ours]) => (((bits & bit) !== 0) === ((INVERTED & ours) === 0) ? changed | ours : changed & ~ours),
    entry,
  );
}
