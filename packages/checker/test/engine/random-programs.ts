import { choose, type Path, Step, step } from "@mmu-notifier/steps";
import fc from "fast-check";
import { DeclaredState, type Iteration, type Model, type TaskModel } from "../../src/index.js";

/** One instruction of a small program over shared variables of two bits. */
export type Instruction =
  | { readonly op: "set" | "wait"; readonly at: number; readonly value: number; readonly progress: boolean }
  | { readonly op: "add"; readonly at: number; readonly progress: boolean }
  | { readonly op: "pick"; readonly at: number }
  | { readonly op: "own" };

/** A program: its instructions, whether it begins again at the end, and where its iterations begin besides 0. */
export interface Program {
  readonly instructions: readonly Instruction[];
  readonly loops: boolean;
  readonly heads: readonly boolean[];
}

export const VARIABLES = 2;
const MASK = 3;
const variable = fc.nat(VARIABLES - 1);
const value = fc.nat(1);

const instruction: fc.Arbitrary<Instruction> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant("set" as const), at: variable, value, progress: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant("wait" as const), at: variable, value, progress: fc.constant(false) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("add" as const), at: variable, progress: fc.constant(false) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("pick" as const), at: variable }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("own" as const) }) },
);

export const program: fc.Arbitrary<Program> = fc.record({
  instructions: fc.array(instruction, { minLength: 1, maxLength: 4 }),
  loops: fc.boolean(),
  heads: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
});
export const programs = fc.array(program, { minLength: 1, maxLength: 3 });

export const label = (of: Instruction): string => `${of.op}${"progress" in of && of.progress ? " with progress" : ""}`;
export const isProgress = (text: string): boolean => text.endsWith("with progress");

/** Where the next iteration begins after the instruction before `pc`; undefined while the iteration goes on. */
export function headAt(of: Program, pc: number): number | null | undefined {
  if (pc === of.instructions.length) return of.loops ? 0 : null;
  return of.heads[pc] === true ? pc : undefined;
}

/** The programs as a model of the checker. */
export function modelOf(all: readonly Program[], forbidden: readonly number[]): Model {
  const state = new DeclaredState();
  const shared = state.field("shared", 2, VARIABLES);
  const own = state.field("own", 2, all.length);
  const tasks = all.map((of, t): TaskModel => {
    function* start(from: number): Path<Iteration> {
      for (let pc = from; ;) {
        const now = of.instructions[pc]!;
        if (now.op === "wait")
          yield new Step(
            label(now),
            () => 0,
            () => shared.get(now.at) === now.value,
          );
        else if (now.op === "pick") {
          const picked = yield choose("choice", 2);
          yield step(label(now), () => {
            shared.set(now.at, picked);
            return 0;
          });
        } else
          yield step(label(now), () => {
            if (now.op === "set") shared.set(now.at, now.value);
            else if (now.op === "add") shared.set(now.at, (shared.get(now.at) + 1) & MASK);
            else own.set(t, (own.get(t) + 1) & MASK);
            return 0;
          });
        pc++;
        const head = headAt(of, pc);
        if (head === null) return null;
        if (head !== undefined) return [head];
      }
    }
    return { name: `t${t}`, start, locals: [0] };
  });
  return {
    name: "random",
    state,
    tasks,
    invariants: [{ name: "forbidden", holds: () => forbidden.some((v, at) => shared.get(at) !== v) }],
    progress: (_, text) => isProgress(text),
    local: (_, text) => text === "own",
    symmetry: permutations(all.length).map((to) => ({
      state: () => {
        const values = to.map((_, t) => own.get(t));
        values.forEach((v, t) => own.set(to[t]!, v));
      },
      task: (t: number) => to[t]!,
    })),
  };
}

/** All but the identity. Means something only when all programs are the same. */
function permutations(length: number): number[][] {
  const all = (left: readonly number[]): number[][] =>
    left.length === 0
      ? [[]]
      : left.flatMap((first) => all(left.filter((t) => t !== first)).map((rest) => rest.concat(first)));
  return all(Array.from({ length }, (_, t) => t)).filter((to) => to.some((t, at) => t !== at));
}
