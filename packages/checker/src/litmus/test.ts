import { MmuNotifierError } from "@mmu-notifier/steps";
import type { Value } from "./values.js";

/** Something in a litmus test that this model does not have: code LITMUS_UNSUPPORTED. */
export class UnsupportedError extends MmuNotifierError {
  constructor(test: string, what: string) {
    super("LITMUS_UNSUPPORTED", `unsupported: ${what} (in ${test})`, { test, what });
  }
}

/** A litmus test that can not be read: code LITMUS_SYNTAX. */
export class LitmusSyntaxError extends MmuNotifierError {}

/** The second operand of an arithmetic instruction or a comparison. */
export type Operand = { readonly register: number } | { readonly number: number };

/** Arithmetic that virtual-memory tests use. */
export type AluOperation = "ADD" | "SUB" | "AND" | "BIC" | "ORR" | "EOR" | "LSL";

/** What loads, stores and swaps have in common. */
interface Address {
  /** The register with the address. */
  readonly address: number;
  /** A register that is added to it. */
  readonly index?: number | undefined;
  /** Registers whose values are waited for, as if they were added. */
  readonly after?: readonly number[];
}

/** One instruction of an agent, in the few kinds that virtual-memory tests use. */
export type Instruction = { readonly labels: readonly string[]; readonly text: string } & (
  | { readonly kind: "set"; readonly to: number; readonly value: Operand }
  | { readonly kind: "shift"; readonly to: number; readonly left: number; readonly by: number }
  | {
      readonly kind: "alu";
      readonly operation: AluOperation;
      readonly to: number;
      readonly left: number;
      readonly right: Operand;
    }
  | ({
      readonly kind: "load";
      readonly order: "plain" | "acquire" | "acquire-pc";
      readonly to: number;
    } & Address)
  | ({ readonly kind: "store"; readonly release: boolean; readonly value: number | undefined } & Address)
  | ({
      readonly kind: "swap";
      /** What becomes of the value in memory: the other one, or a combination. */
      readonly operation: "SWP" | AluOperation;
      readonly acquire: boolean;
      readonly release: boolean;
      readonly value: number;
      readonly to: number;
    } & Address)
  | { readonly kind: "invalidate"; readonly scope: "is" | "local"; readonly page: number | undefined }
  | { readonly kind: "dsb" | "dmb"; readonly type: string }
  | { readonly kind: "isb" | "nop" }
  | { readonly kind: "compare"; readonly left: number; readonly right: Operand }
  | { readonly kind: "set-if"; readonly to: number; readonly equal: boolean }
  | {
      readonly kind: "jump";
      readonly when: "always" | "equal" | "not-equal" | "zero" | "non-zero";
      readonly register: number;
      readonly target: string;
    }
);

/** What the final state is asked about. Numbers of agents and registers, numbers of locations. */
export type Condition =
  | { readonly kind: "and" | "or"; readonly parts: readonly Condition[] }
  | { readonly kind: "not"; readonly part: Condition }
  | { readonly kind: "register"; readonly agent: number; readonly register: number; readonly value: Value }
  | { readonly kind: "memory"; readonly location: number; readonly value: Value }
  | { readonly kind: "entry"; readonly location: number; readonly value: Value }
  | {
      readonly kind: "fault";
      readonly agent: number;
      readonly label: string | undefined;
      readonly location: number | undefined;
      readonly type: string | undefined;
    };

/** What an agent's hardware does when it walks. */
export interface LitmusHardware {
  /** FEAT_HAFDBS, access flag. */
  readonly accessFlag: boolean;
  /** FEAT_HAFDBS, dirty state. */
  readonly dirty: boolean;
  /** The agent runs at EL0. */
  readonly user: boolean;
}

/**
 * A litmus test: agents that edit one level of page table and access memory through it, and a question about the end.
 *
 * @public
 */
export interface LitmusTest {
  readonly name: string;
  /** Names of the locations; each is a page of its own, with one entry that maps it to itself unless {@link entries} says otherwise. */
  readonly locations: readonly string[];
  /** What each location holds at first. */
  readonly memory: readonly Value[];
  /** The entry of each location at first. */
  readonly entries: readonly Value[];
  /** Values of registers at first: agent, register, value. Others are 0. */
  readonly registers: readonly (readonly [agent: number, register: number, value: Value])[];
  readonly agents: readonly (readonly Instruction[])[];
  readonly hardware: readonly LitmusHardware[];
  /**
   * What a fault does to its agent: it ends there, or tries the access again. Where the test does not say, it ends, and runs with a
   * fault that nothing observed shows are not counted: they might go on.
   */
  readonly faults: "fatal" | "handled" | "unsaid";
  readonly quantifier: "exists" | "~exists" | "forall";
  readonly condition: Condition;
  /** What herd prints besides what the condition mentions. */
  readonly shown: readonly Condition[];
  /** What the test itself expects, when its file says so. */
  readonly expected?: LitmusVerdict | undefined;
}

/**
 * Allowed or Forbidden for a witness that exists or not; Required or "Not required" when it must hold at every end.
 *
 * @public
 */
export type LitmusVerdict = "Allowed" | "Forbidden" | "Required" | "Not required";

/** The atoms of a condition. */
export function atomsOf(condition: Condition): Condition[] {
  switch (condition.kind) {
    case "and":
    case "or":
      return condition.parts.flatMap((part) => atomsOf(part));
    case "not":
      return atomsOf(condition.part);
    default:
      return [condition];
  }
}
