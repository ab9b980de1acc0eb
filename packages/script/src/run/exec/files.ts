import { sysFsync } from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import type { OpOf } from "../../ops/op.js";
import { createFile } from "../backing-files.js";
import { counted, type Outcome } from "../results.js";
import { descriptor, type Environment } from "./environment.js";

export function* create({ k, t, state }: Environment, op: OpOf<"create">): Path<Outcome> {
  yield* createFile(k, t, state, { name: op.name, kind: op.file, pages: op.pages, written: op.fill ? op.pages : 0 });
  return { ret: 0 };
}

export function* fsync(env: Environment, op: OpOf<"fsync">): Path<Outcome> {
  return counted(yield* sysFsync(env.k, env.t, yield* descriptor(env, op.file)));
}
