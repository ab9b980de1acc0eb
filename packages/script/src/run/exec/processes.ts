import { mmput, sysExecve, sysFork, sysProcessMrelease } from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";
import type { OpOf } from "../../ops/op.js";
import { counted, type Outcome } from "../results.js";
import { type Environment, NO_CHILD, threadOf } from "./environment.js";

export function* fork({ k, t, state }: Environment, op: OpOf<"fork">): Path<Outcome> {
  const child = yield* sysFork(k, t);
  if (child < 0) return counted(child);
  yield step("child runs", () => {
    state.setChild(op.child, child);
    return 0;
  });
  return { ret: 0 };
}

/** The child is killed and waited for. */
export function* reap(env: Environment, op: OpOf<"reap">): Path<Outcome> {
  const t = yield* threadOf(env, op.child);
  if (t === undefined) return NO_CHILD;
  yield* mmput(env.k, t);
  yield* closeNotifier(env, op.child, t.mm);
  yield step("wait4", () => {
    env.state.setChild(op.child, 0);
    return 0;
  });
  return { ret: 0 };
}

/** Descriptors close after the address space is gone; a notifier keeps the mm it was registered for until then. */
function* closeNotifier(env: Environment, child: number, mm: number): Path {
  const subscription = yield step("kvm: last reference", () => env.state.childNotifier(child));
  if (subscription === 0) return;
  yield* env.notifier.close(subscription, mm);
  yield step("kvm: closed", () => {
    env.state.setChildNotifier(child, 0);
    return 0;
  });
}

export function* exec(env: Environment, op: OpOf<"cexec">): Path<Outcome> {
  const t = yield* threadOf(env, op.child);
  if (t === undefined) return NO_CHILD;
  const mm = yield* sysExecve(env.k, t);
  if (mm < 0) return counted(mm);
  yield step("exec_mmap", () => {
    env.state.setChild(op.child, mm);
    return 0;
  });
  yield* closeNotifier(env, op.child, t.mm);
  return { ret: 0 };
}

/** The child is killed; before it gets to exit, its memory is taken. */
export function* mrelease(env: Environment, op: OpOf<"mrelease">): Path<Outcome> {
  const t = yield* threadOf(env, op.child);
  if (t === undefined) return NO_CHILD;
  const result = yield* sysProcessMrelease(env.k, t);
  yield* reap(env, { kind: "reap", child: op.child });
  return counted(result);
}

export function* exit({ k, t }: Environment): Path<Outcome> {
  yield* mmput(k, t);
  return { ret: 0 };
}
