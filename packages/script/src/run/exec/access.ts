import { decodeSignal, kernelAccess, processVmAccess, procMemAccess, SIGBUS, userAccess } from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import type { AccessOp, OpOf } from "../../ops/op.js";
import { ARENA_PAGE } from "../../script.js";
import { counted, type Outcome } from "../results.js";
import type { OpResult } from "../record.js";
import { type Environment, NO_CHILD, threadOf } from "./environment.js";

export function* access(env: Environment, op: AccessOp): Path<Outcome> {
  const t = yield* threadOf(env, op.child);
  if (t === undefined) return NO_CHILD;
  const value = (op.value ?? env.value) & 0xff;
  const how = op.write ? "write" : "read";
  switch (op.mode) {
    case "one": {
      const result = yield* userAccess(env.k, t, ARENA_PAGE + op.start, how, value);
      if (result < 0) return signalOf(result, op.start);
      return op.write ? { ret: 0 } : { val: result };
    }
    case "until":
      for (let done = 0; done < op.pages; done++) {
        const result = yield* userAccess(env.k, t, ARENA_PAGE + op.start + done, how, value);
        if (result < 0) return { ret: done, ...signalOf(result, op.start + done) };
      }
      return { ret: op.pages };
    case "each": {
      const sigs: NonNullable<OpResult["sigs"]>[number][] = [];
      let sum = 0;
      for (let done = 0; done < op.pages; done++) {
        const result = yield* userAccess(env.k, t, ARENA_PAGE + op.start + done, how, value);
        if (result >= 0) sum += result;
        else {
          const { sig, code } = signalOf(result, op.start + done);
          sigs.push([op.start + done, sig, code]);
        }
      }
      return { ...(sigs.length === 0 ? { ret: 0 } : { sigs }), ...(op.write ? {} : { sum }) };
    }
  }
}

function signalOf(
  result: number,
  page: number,
): { readonly sig: "SEGV" | "BUS"; readonly code: number; readonly at: number } {
  const taken = decodeSignal(result);
  return { sig: taken?.signal === SIGBUS ? "BUS" : "SEGV", code: taken?.code ?? 0, at: page };
}

/** One byte on behalf of the process, by the kernel. A read shows the byte. */
export function* kernelSide(
  { k, t, value }: Environment,
  op: OpOf<"kread" | "kwrite" | "pmread" | "pmwrite" | "pvread" | "pvwrite">,
): Path<Outcome> {
  const vpn = ARENA_PAGE + op.page;
  const write = op.kind.endsWith("write");
  const how = write ? "write" : "read";
  const access = op.kind.startsWith("k") ? kernelAccess : op.kind.startsWith("pm") ? procMemAccess : processVmAccess;
  const result = yield* access(k, t, vpn, how, value);
  if (result < 0) return counted(result);
  return write || op.kind === "pvread" ? { ret: 1 } : { ret: 1, val: result };
}
