import { call, type Path, step } from "@mmu-notifier/steps";
import type { Kernel } from "../kernel.js";
import type { Thread } from "../thread.js";
import { createMm } from "./create-mm.js";
import { mmput } from "./mm-count.js";

/**
 * exec_mmap(): the task goes on in an empty address space; the old one ends as in exit.
 *
 * @returns the new mm
 */
export function sysExecve(k: Kernel, t: Thread): Path<number> {
  return call("exec_mmap", exec(k, t));
}

function* exec(k: Kernel, t: Thread): Path<number> {
  const mm = yield step("mm_alloc", () => createMm(k));
  yield* mmput(k, t);
  return mm;
}
