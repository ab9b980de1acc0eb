/** Faults by the SMMU specification's names and numbers; other hardware maps its own onto them. */
export const FAULT_CODES = {
  F_STREAM_DISABLED: 0x06,
  F_TRANSL_FORBIDDEN: 0x07,
  C_BAD_CD: 0x0a,
  F_TRANSLATION: 0x10,
  F_ADDR_SIZE: 0x11,
  F_ACCESS: 0x12,
  F_PERMISSION: 0x13,
} as const;

/** Name of a fault. */
export type FaultCode = keyof typeof FAULT_CODES;

/**
 * What a translation returns, one integer.
 *
 * Positive: a leaf, {@link packLeaf}. Negative: {@link TRANSLATION_KILLED}, or minus a number of {@link FAULT_CODES}.
 */
export type TranslationResult = number;

export const F_STREAM_DISABLED = -FAULT_CODES.F_STREAM_DISABLED;
export const F_TRANSL_FORBIDDEN = -FAULT_CODES.F_TRANSL_FORBIDDEN;
export const C_BAD_CD = -FAULT_CODES.C_BAD_CD;
export const F_TRANSLATION = -FAULT_CODES.F_TRANSLATION;
export const F_ADDR_SIZE = -FAULT_CODES.F_ADDR_SIZE;
export const F_ACCESS = -FAULT_CODES.F_ACCESS;
export const F_PERMISSION = -FAULT_CODES.F_PERMISSION;
/** An invalidation overtook the walk: its result must not be used, the access starts again. */
export const TRANSLATION_KILLED = -1;

/** Right bits of a leaf. */
export const LEAF_READ = 1;
export const LEAF_WRITE = 2;

const RIGHTS = 4;
const LEVELS = 8;

/** A leaf as one number: the frame of the very page, the level it was found at, its rights. Never 0. */
export function packLeaf(pfn: number, level: number, rights: number): number {
  return (pfn * LEVELS + level) * RIGHTS + rights;
}

/** The frame of the page that was asked for. */
export const leafPfn = (leaf: number): number => Math.floor(leaf / (RIGHTS * LEVELS));
/** Level of the entry: 0 is the pte. */
export const leafLevel = (leaf: number): number => Math.floor(leaf / RIGHTS) % LEVELS;
export const leafRights = (leaf: number): number => leaf % RIGHTS;
export const leafReadable = (leaf: number): boolean => (leaf & LEAF_READ) !== 0;
export const leafWritable = (leaf: number): boolean => (leaf & LEAF_WRITE) !== 0;
/** True when the leaf has the right that the access wants. */
export const leafAllows = (leaf: number, write: boolean): boolean => (leaf & (write ? LEAF_WRITE : LEAF_READ)) !== 0;

const NAMES = new Map<number, FaultCode>(
  Object.entries(FAULT_CODES).map(([name, number]) => [-number, name as FaultCode]),
);

/** The name of a negative result, or undefined when it is not a fault. */
export function faultName(result: TranslationResult): FaultCode | undefined {
  return NAMES.get(result);
}
