import { EBUSY, ENXIO, sysRegisterBuffers, sysUnregisterBuffers } from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";
import type { OpOf } from "../../ops/op.js";
import { counted, type Outcome } from "../results.js";
import { address, type Environment, NO_CHILD, PAGE, threadOf } from "./environment.js";


/** io_uring_register(IORING_REGISTER_BUFFERS): a long-term write pin of every page, or of none. */
export function* pin({ k, t, state }: Environment, op: OpOf<"pin">): Path<Outcome> {
  const busy = yield step("ctx->user_bufs", () => state.pins.length);
  if (busy > 0) return counted(-EBUSY);
  const pages: number[] = [];
  const result = yield* sysRegisterBuffers(k, t, address(op.start), op.pages * PAGE, pages);
  if (result < 0) return counted(result);
  yield step("io_sqe_buffer_register", () => {
    for (const page of pages) state.addPin(page);
    return 0;
  });
  return { ret: 0 };
}

export function* unpin({ k, state }: Environment): Path<Outcome> {
  const pinned = yield step("ctx->user_bufs", () => state.pins.length);
  if (pinned === 0) return counted(-ENXIO);
  const pages: number[] = [];
  for (let i = 0; i < pinned; i++) pages.push(yield step("ctx->user_bufs", () => state.pins[i]!));
  yield* sysUnregisterBuffers(k, pages);
  yield step("io_sqe_buffers_unregister", () => {
    state.clearPins();
    return 0;
  });
  return { ret: 0 };
}

export function* openVm(env: Environment): Path<Outcome> {
  const subscription = yield* env.notifier.open(env.t.mm);
  if (subscription < 0) return counted(subscription);
  yield step("kvm: VM created", () => {
    env.state.setNotifier(subscription);
    return 0;
  });
  return { ret: 0 };
}

export function* closeVm(env: Environment): Path<Outcome> {
  const subscription = yield step("kvm: last reference", () => env.state.notifier);
  if (subscription === 0) return { ret: 0 };
  yield* env.notifier.close(subscription, env.t.mm);
  yield step("kvm: VM destroyed", () => {
    env.state.setNotifier(0);
    return 0;
  });
  return { ret: 0 };
}

/** A child opens a virtual machine of its own. */
export function* childVm(env: Environment, op: OpOf<"ckvm">): Path<Outcome> {
  const t = yield* threadOf(env, op.child);
  if (t === undefined) return NO_CHILD;
  const subscription = yield* env.notifier.open(t.mm);
  if (subscription < 0) return counted(subscription);
  yield step("kvm: VM created", () => {
    env.state.setChildNotifier(op.child, subscription);
    return 0;
  });
  return { ret: 0 };
}

/** Nothing of the model moves with time. */
export function* timePasses(): Path<Outcome> {
  yield* [];
  return { ret: 0 };
}
