import {
  ENOENT,
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  READ_NOTHING,
  sysFadviseDontneed,
  sysFallocate,
  sysFsync,
  sysFtruncate,
  sysPread,
  sysPwrite,
} from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import type { OpOf } from "../../ops/op.js";
import { createFile } from "../backing-files.js";
import { counted, type Outcome } from "../results.js";
import { descriptor, type Environment, PAGE } from "./environment.js";

export function* create({ k, t, state, dax }: Environment, op: OpOf<"create">): Path<Outcome> {
  if (op.file === "dax" && dax === "none") return counted(-ENOENT);
  yield* createFile(k, t, state, {
    name: op.name,
    kind: op.file,
    pages: op.pages,
    written: op.fill ? op.pages : 0,
    dax,
  });
  return { ret: 0 };
}

export function* truncate(env: Environment, op: OpOf<"ftrunc">): Path<Outcome> {
  return counted(yield* sysFtruncate(env.k, env.t, yield* descriptor(env, op.file), op.pages * PAGE));
}

const MODES = {
  fpunch: FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
  fzero: FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
  fcollapse: FALLOC_FL_COLLAPSE_RANGE,
} as const;

export function* fallocate(env: Environment, op: OpOf<"fpunch" | "fzero" | "fcollapse">): Path<Outcome> {
  return counted(
    yield* sysFallocate(
      env.k,
      env.t,
      yield* descriptor(env, op.file),
      MODES[op.kind],
      op.start * PAGE,
      op.pages * PAGE,
    ),
  );
}

export function* write(env: Environment, op: OpOf<"fwrite">): Path<Outcome> {
  return counted(yield* sysPwrite(env.k, env.t, yield* descriptor(env, op.file), op.page * PAGE, env.value));
}

export function* read(env: Environment, op: OpOf<"fread">): Path<Outcome> {
  const result = yield* sysPread(env.k, env.t, yield* descriptor(env, op.file), op.page * PAGE);
  if (result === READ_NOTHING) return { ret: 0 };
  return result < 0 ? counted(result) : { ret: 1, val: result };
}

export function* fsync(env: Environment, op: OpOf<"fsync">): Path<Outcome> {
  return counted(yield* sysFsync(env.k, env.t, yield* descriptor(env, op.file)));
}

export function* drop(env: Environment, op: OpOf<"fdrop">): Path<Outcome> {
  return counted(yield* sysFadviseDontneed(env.k, env.t, yield* descriptor(env, op.file)));
}
