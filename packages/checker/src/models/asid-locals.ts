/** What is not there: a local outside the function that it belongs to. */
export const NONE = -1;

/** Where a CPU is in check_and_switch_context() and what it calls; a step each. */
export const AT = {
  SCHEDULE: 0,
  ENTER: 1,
  CHECK_GENERATION: 2,
  CMPXCHG: 3,
  CHECK_ROLL_OVER: 4,
  SLOW_PATH: 5,
  NEW_CONTEXT: 6,
  UPDATE_RESERVED: 7,
  UPDATE_RESERVED_CPU: 8,
  UPDATED_RESERVED: 9,
  TRY_OLD_ASID: 10,
  KEEP_OLD_ASID: 11,
  ALLOCATE: 12,
  NEXT_GENERATION: 13,
  FLUSH_CONTEXT: 14,
  FLUSH_CONTEXT_CPU: 15,
  FLUSH_CONTEXT_RESERVE: 16,
  FLUSHED_CONTEXT: 17,
  SET_ASID: 18,
  GOT_CONTEXT: 19,
  FLUSH_PENDING: 20,
  SET_ACTIVE: 21,
  FAST_PATH: 22,
} as const;

/** What each of these steps is called. */
export const LABELS = [
  "schedule",
  "check_and_switch_context: read context id and active_asids",
  "check_and_switch_context: compare generations",
  "check_and_switch_context: cmpxchg(active_asids)",
  "check_and_switch_context: rolled over?",
  "check_and_switch_context: lock cpu_asid_lock",
  "new_context: read context id",
  "check_update_reserved_asid",
  "check_update_reserved_asid: one CPU",
  "new_context: was it reserved?",
  "new_context: set asid_map",
  "new_context: keep the ASID",
  "new_context: find_next_zero_bit",
  "new_context: next generation",
  "flush_context: clear asid_map",
  "flush_context: take active_asids of one CPU",
  "flush_context: reserve it",
  "new_context: find_next_zero_bit from 1",
  "new_context: set_asid",
  "check_and_switch_context: store context id",
  "check_and_switch_context: tlb_flush_pending",
  "check_and_switch_context: set active_asids, unlock",
  "cpu_switch_mm",
] as const;

/** What a CPU remembers between steps; NONE outside the function that it belongs to. */
export interface Locals {
  at: number;
  /** The mm whose table is in TTBR0; 0 is none. */
  active: number;
  mm: number;
  asid: number;
  oldActive: number;
  newAsid: number;
  /** The ASID that new_context() works on, and the one it would like. */
  work: number;
  generation: number;
  wasSet: number;
  /** CPUs that a loop has still to visit, as bits; the one visited last; what flush_context() took from it. */
  left: number;
  cpu: number;
  taken: number;
}

const NAMES: readonly (keyof Locals)[] = [
  "at",
  "active",
  "mm",
  "asid",
  "oldActive",
  "newAsid",
  "work",
  "generation",
  "wasSet",
  "left",
  "cpu",
  "taken",
];

/** A CPU at first. */
export const START: Locals = {
  at: AT.SCHEDULE,
  active: 0,
  mm: NONE,
  asid: NONE,
  oldActive: NONE,
  newAsid: NONE,
  work: NONE,
  generation: NONE,
  wasSet: NONE,
  left: NONE,
  cpu: NONE,
  taken: NONE,
};

/** Locals are NONE to 14, but for the place, which comes first: a result is a number of base 16 with 12 digits, below 2^53. */
export const BASE = 16;

/** Locals as the numbers that an iteration passes on. */
export function pack(locals: Locals): number[] {
  return NAMES.map((name) => locals[name]);
}

export function unpack(values: readonly number[]): Locals {
  const locals: Record<keyof Locals, number> = { ...START };
  NAMES.forEach((name, i) => (locals[name] = values[i]!));
  return locals;
}

/** Locals as one number, which a step can return. */
export function encode(locals: Locals): number {
  return pack(locals).reduce((code, value) => code * BASE + value + 1, 0);
}

export function decode(code: number): Locals {
  const values: number[] = [];
  let rest = code;
  for (let i = 1; i < NAMES.length; i++) {
    values.unshift((rest % BASE) - 1);
    rest = Math.floor(rest / BASE);
  }
  return unpack([rest - 1, ...values]);
}
