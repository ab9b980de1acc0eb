import type { Kernel, Thread } from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";
import { ARENA_BASE } from "../../script.js";
import type { DaxDevice } from "../backing-files.js";
import type { ProcessNotifier } from "../process-notifier.js";
import type { ScriptState } from "../script-state.js";

/** What an op works with. */
export interface Environment {
  readonly k: Kernel;
  /** The script's process. */
  readonly t: Thread;
  readonly state: ScriptState;
  readonly notifier: ProcessNotifier;
  /** The DAX device to make files on. */
  readonly dax: DaxDevice;
  /** The byte that stores of this op write unless it says otherwise: 1 to 99, by its place. */
  readonly value: number;
}

export const PAGE = 4096;

/** The byte address of an arena page. */
export function address(page: number): number {
  return ARENA_BASE + page * PAGE;
}

/** What a child that is not there answers. */
export const NO_CHILD = { err: "NOCHILD" } as const;

/** Who executes for child `index` (-1: the process itself); undefined when that child does not live. */
export function* threadOf({ t, state }: Environment, index: number): Path<Thread | undefined> {
  if (index < 0) return t;
  const mm = yield step("child", () => state.child(index));
  return mm === 0 ? undefined : { cpu: t.cpu, mm };
}

/** The row of an open file, or -1 for a descriptor that is not open, as the system calls take it. */
export function* descriptor({ state }: Environment, name: string): Path<number> {
  const file = yield step("fget", () => state.file(name));
  return file === 0 ? -1 : file;
}
