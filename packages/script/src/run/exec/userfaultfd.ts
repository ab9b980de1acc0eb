import {
  EBADF,
  EINVAL,
  pagemapScan,
  since,
  sysUserfaultfd,
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURE_WP_ASYNC,
  UFFD_FEATURE_WP_UNPOPULATED,
  uffdCopy,
  uffdMove,
  uffdRegister,
  uffdUnregister,
  uffdWriteprotect,
  uffdZeropage,
} from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";
import type { OpOf } from "../../ops/op.js";
import { counted, type Outcome } from "../results.js";
import { address, type Environment, PAGE } from "./environment.js";

const FEATURES = {
  sync: UFFD_FEATURE_SIGBUS,
  async: UFFD_FEATURE_SIGBUS | UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
  unpop: UFFD_FEATURE_SIGBUS | UFFD_FEATURE_WP_UNPOPULATED,
} as const;

export function* open({ k, t, state }: Environment, op: OpOf<"uffd">): Path<Outcome> {
  const uffd = yield* sysUserfaultfd(k, t, FEATURES[op.mode]);
  if (uffd < 0) return counted(uffd);
  yield step("fd_install", () => {
    state.setUffd(uffd);
    return 0;
  });
  return { ret: 0 };
}

/** The descriptor, or 0 when there is none. */
function* descriptor({ state }: Environment): Path<number> {
  return yield step("fdget", () => state.uffd);
}

/** A script that never opens a descriptor gets one with its first registration: it, or -errno. */
function* descriptorForRegister(env: Environment, minor: boolean): Path<number> {
  const { k, t, state } = env;
  const uffd = yield* descriptor(env);
  if (uffd !== 0) return uffd;
  if (state.opensUffd) return -EBADF;
  // UFFD_FEATURE_MINOR_SHMEM came with v5.14.
  if (minor && !since(k.profile, 5, 14)) return -EINVAL;
  const opened = yield* sysUserfaultfd(k, t, UFFD_FEATURE_SIGBUS);
  if (opened < 0) return opened;
  return yield step("fd_install", () => {
    state.setUffd(opened);
    return opened;
  });
}

export function* register(env: Environment, op: OpOf<"uffdreg">): Path<Outcome> {
  const uffd = yield* descriptorForRegister(env, op.minor);
  return counted(uffd < 0 ? uffd : yield* uffdRegister(env.k, env.t, uffd, address(op.start), op.pages * PAGE, op));
}

export function* unregister(env: Environment, op: OpOf<"uffdunreg">): Path<Outcome> {
  const uffd = yield* descriptor(env);
  return counted(uffd === 0 ? -EBADF : yield* uffdUnregister(env.k, env.t, uffd, address(op.start), op.pages * PAGE));
}

/** Ioctls that find the context by the VMA: they need some descriptor. */
function* withDescriptor(env: Environment, path: () => Path<number>): Path<Outcome> {
  const uffd = yield* descriptor(env);
  return counted(uffd === 0 ? -EBADF : yield* path());
}

export function writeProtect(env: Environment, op: OpOf<"uffdwp">): Path<Outcome> {
  return withDescriptor(env, () => uffdWriteprotect(env.k, env.t, address(op.start), op.pages * PAGE, op.on));
}

export function zeropage(env: Environment, op: OpOf<"uffdzero">): Path<Outcome> {
  return withDescriptor(env, () => uffdZeropage(env.k, env.t, address(op.start), op.pages * PAGE));
}

export function copy(env: Environment, op: OpOf<"uffdcopy">): Path<Outcome> {
  return withDescriptor(env, () => uffdCopy(env.k, env.t, address(op.page), env.value, op.wp));
}

export function move(env: Environment, op: OpOf<"uffdmove">): Path<Outcome> {
  return withDescriptor(env, () => uffdMove(env.k, env.t, address(op.destination), address(op.start), op.pages * PAGE));
}

export function* scan({ k, t }: Environment, op: OpOf<"pscan">): Path<Outcome> {
  return counted(yield* pagemapScan(k, t, address(op.start), op.pages * PAGE));
}
