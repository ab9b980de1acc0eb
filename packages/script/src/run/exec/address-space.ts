import {
  clearRefs,
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
  MAP_STACK,
  MLOCK_ONFAULT,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  MS_ASYNC,
  MS_INVALIDATE,
  MS_SYNC,
  sysMadvise,
  sysMbind,
  sysMincore,
  sysMlock2,
  sysMmap,
  sysMovePages,
  sysMprotect,
  sysMremap,
  sysMseal,
  sysMsync,
  sysMunlock,
  sysMunmap,
  sysProcessMadvise,
  sysRemapFilePages,
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
    (op.growsdown ? MAP_GROWSDOWN : 0) |
    (op.stack ? MAP_STACK : 0);
  const file = backing.kind === "file" ? yield* descriptor(env, backing.name) : 0;
  const length = op.pages * PAGE;
  return addressed(
    yield* sysMmap(env.k, env.t, {
      address: address(op.start),
      length,
      prot: op.prot,
      flags,
      file,
      offset: op.offset * PAGE,
    }),
    length,
  );
}

export function* mapx(env: Environment, op: OpOf<"mapx">): Path<Outcome> {
  const file = op.file === undefined ? -1 : yield* descriptor(env, op.file);
  const { lengthBytes: length, prot, mapFlags: flags, offsetBytes: offset } = op;
  return addressed(
    yield* sysMmap(env.k, env.t, { address: ARENA_BASE + op.addressBytes, length, prot, flags, file, offset }),
    length,
  );
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
  return t === undefined
    ? NO_CHILD
    : counted(yield* sysMprotect(env.k, t, address(op.start), op.pages * PAGE, op.prot));
}

export function* protectx({ k, t }: Environment, op: OpOf<"protectx">): Path<Outcome> {
  return counted(yield* sysMprotect(k, t, ARENA_BASE + op.addressBytes, op.lengthBytes, op.prot));
}

export function* remap({ k, t }: Environment, op: OpOf<"remap">): Path<Outcome> {
  const flags =
    (op.mayMove ? MREMAP_MAYMOVE : 0) | (op.fixed ? MREMAP_FIXED : 0) | (op.dontUnmap ? MREMAP_DONTUNMAP : 0);
  const length = op.newPages * PAGE;
  const to = op.fixed ? address(op.destination) : 0;
  return addressed(yield* sysMremap(k, t, address(op.start), op.pages * PAGE, length, flags, to), length);
}

export function* advise(env: Environment, op: OpOf<"advise">): Path<Outcome> {
  const t = yield* threadOf(env, op.child);
  return t === undefined
    ? NO_CHILD
    : counted(yield* sysMadvise(env.k, t, address(op.start), op.pages * PAGE, op.advice));
}

export function* advisex({ k, t }: Environment, op: OpOf<"advisex">): Path<Outcome> {
  return counted(yield* sysMadvise(k, t, ARENA_BASE + op.addressBytes, op.lengthBytes, op.advice));
}

export function* padvise({ k, t }: Environment, op: OpOf<"padvise">): Path<Outcome> {
  const ranges = op.ranges.map(({ start, pages }) => [address(start), pages * PAGE] as const);
  return counted(yield* sysProcessMadvise(k, t, ranges, op.advice));
}

export function* mlock({ k, t }: Environment, op: OpOf<"mlock">): Path<Outcome> {
  return counted(yield* sysMlock2(k, t, address(op.start), op.pages * PAGE, op.onFault ? MLOCK_ONFAULT : 0));
}

export function* munlock({ k, t }: Environment, op: OpOf<"munlock">): Path<Outcome> {
  return counted(yield* sysMunlock(k, t, address(op.start), op.pages * PAGE));
}

export function* mseal({ k, t }: Environment, op: OpOf<"mseal">): Path<Outcome> {
  return counted(yield* sysMseal(k, t, address(op.start), op.pages * PAGE));
}

const MSYNC = { sync: MS_SYNC, async: MS_ASYNC, inval: MS_INVALIDATE } as const;

export function* msync({ k, t }: Environment, op: OpOf<"msync">): Path<Outcome> {
  return counted(yield* sysMsync(k, t, address(op.start), op.pages * PAGE, MSYNC[op.how]));
}

/** More pages than this and the vector is left out of the record. */
const MINCORE_SHOWN = 512;

export function* mincore({ k, t }: Environment, op: OpOf<"mincore">): Path<Outcome> {
  const vector: number[] = [];
  const result = yield* sysMincore(k, t, address(op.start), op.pages * PAGE, vector);
  if (result < 0 || op.pages >= MINCORE_SHOWN) return counted(result);
  return { ret: result, val: vector.map((resident) => resident & 1).join("") };
}

export function* rfp({ k, t }: Environment, op: OpOf<"rfp">): Path<Outcome> {
  return counted(yield* sysRemapFilePages(k, t, address(op.start), op.pages * PAGE, 0, op.pgoff));
}

export function* mbind({ k, t }: Environment, op: OpOf<"mbind">): Path<Outcome> {
  return counted(yield* sysMbind(k, t, address(op.start), op.pages * PAGE, op.policy === "bind" ? op.node : -1));
}

export function* movePages({ k, t }: Environment, op: OpOf<"movepages">): Path<Outcome> {
  const pages = Array.from({ length: op.pages }, (_, i) => address(op.start + i));
  const status: number[] = [];
  const result = yield* sysMovePages(k, t, pages, op.node, status);
  return { ...counted(result), ...(status[0] === undefined ? {} : { status: status[0] }) };
}

export function* clearrefs({ k, t }: Environment, op: OpOf<"clearrefs">): Path<Outcome> {
  const result = yield* clearRefs(k, t, op.what);
  // write(2) returns the bytes that it took: the digits of the number.
  return result < 0 ? counted(result) : { ret: String(op.what).length };
}
