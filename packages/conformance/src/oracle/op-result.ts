import { isInArena, type Op, type OpResult, placeOf } from "@mmu-notifier/script";
import type { RawResult } from "./raw-record.js";

const PAGE = 4096;
const SIGBUS = 7;

/** What an op came to, as records write it. */
export function opResult(op: Op, raw: RawResult): OpResult {
  if (raw.dead !== undefined) return { err: "DEAD" };
  if (raw.err !== undefined) return { err: raw.err, ...(op.kind === "movepages" ? status(raw) : {}) };
  switch (op.kind) {
    case "map":
    case "mapx":
    case "remap":
      return { ret: isInArena(raw.ret!) ? placeOf(raw.ret!) : "out" };
    case "access":
      return op.mode === "one" ? one(op.write, raw) : many(op, raw);
    case "movepages":
      return { ret: raw.ret!, ...status(raw) };
    case "drop":
      return { ret: 0 };
    default:
      return { ret: raw.ret!, ...(raw.val === undefined ? {} : { val: raw.val }) };
  }
}

function status({ status }: RawResult): Pick<OpResult, "status"> {
  return status === undefined ? {} : { status };
}

function signalName(signal: number): "SEGV" | "BUS" {
  return signal === SIGBUS ? "BUS" : "SEGV";
}

function one(write: boolean, { val, sig, code, addr }: RawResult): OpResult {
  if (sig !== undefined) return { sig: signalName(sig), code: code!, at: placeOf(addr! - (addr! % PAGE)) };
  return write ? { ret: 0 } : { val: val! };
}

function many(op: Extract<Op, { kind: "access" }>, { ret, sum, sigs }: RawResult): OpResult {
  const signals = sigs!.map(([index, signal, code]) => [op.start + index, signalName(signal), code] as const);
  if (op.mode === "until") {
    const [first] = signals;
    return first === undefined ? { ret: ret! } : { ret: ret!, sig: first[1], code: first[2], at: first[0] };
  }
  return { ...(signals.length === 0 ? { ret: 0 } : { sigs: signals }), ...(op.write ? {} : { sum: sum! }) };
}
