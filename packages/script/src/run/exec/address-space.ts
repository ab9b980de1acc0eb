import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  sysMmap,
  sysMprotect,
  sysMunmap,
} from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import type { MapOp, OpOf } from "../../ops/op.js";
import { ARENA_BASE } from "../../script.js";
import { addressed, counted, type Outcome } from "../results.js";
import { address, descriptor, type Environment, NO_CHILD, PAGE, threadOf } from "./environment.js";


const PLACEMENT = { fixed: MAP_FIXED, noreplace: MAP_FIXED_NOREPLACE, hint: 0 } as const;

export function* map(env: Environment, op: MapOp): Path<Outcome> {
  const { backing } = op;
  const flags =
    (op.shared ? MAP_SHARED : MAP_PRIVATE) |
    PLACEMENT[op.placement] |
    (backing.kind === "file" ? 0 : MAP_ANONYMOUS) |
    (backing.kind === "huge" ? MAP_HUGETLB : 0) |
    (op.populate ? MAP_POPULATE : 0) |
    (op.locked ? MAP_LOCKED : 0) |
    (op.noreserve ? MAP_NORESERVE : 0) |
    (op.growsdown ? MAP_GROWSDOWN : 0);
  const file = backing.kind === "file" ? yield* descriptor(env, backing.name) : 0;
  const length = op.pages * PAGE;
  return addressed(yield* sysMmap(env.k, env.t, { address: address(op.start), length, prot: op.prot, flags, file, offset: op.offset * PAGE }), length);
}

export function* mapx(env: Environment, op: OpOf<"mapx">): Path<Outcome> {
  const file = op.file === undefined ? -1 : yield* descriptor(env, op.file);
  const { lengthBytes: length, prot, mapFlags: flags, offsetBytes: offset } = op;
  return addressed(yield* sysMmap(env.k, env.t, { address: ARENA_BASE + op.addressBytes, length, prot, flags, file, offset }), length);
}

export function* unmap(env: Environment, op: OpOf<"unmap">): Path<Outcome> {
  const t = yield* threadOf(env, op.child);
  return t === undefined ? NO_CHILD : counted(yield* sysMunmap(env.k, t, address(op.start), op.pages * PAGE));
}

export function* unmapx({ k, t }: Environment, op: OpOf<"unmapx">): Path<Outcome> {
  return counted(yield* sysMunmap(k, t, ARENA_BASE + op.addressBytes, op.lengthBytes));
}

export function* protect(env: Environment, op: OpOf<"protect">): Path<Outcome> {
  const t = yield* threadOf(env, op.child);
  return t === undefined ? NO_CHILD : counted(yield* sysMprotect(env.k, t, address(op.start), op.pages * PAGE, op.prot));
}

export function* protectx({ k, t }: Environment, op: OpOf<"protectx">): Path<Outcome> {
  return counted(yield* sysMprotect(k, t, ARENA_BASE + op.addressBytes, op.lengthBytes, op.prot));
}
