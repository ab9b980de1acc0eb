import { sameJson } from "../field-diff.js";
import type { QemuCall, QemuFault, QemuSetAccessFlags, QemuVma } from "./qemu-record.js";

// How the lists of a record are compared, and what a report says of them.

export function callsIn(calls: readonly QemuCall[], wanted: ReadonlySet<string>): readonly QemuCall[] {
  return calls.length === 0 ? calls : calls.filter(({ fn }) => wanted.has(fn));
}

/** Calls that are about everything have no place. */
function isPlaced({ whole, start }: QemuCall): boolean {
  return whole !== true && start !== undefined && start !== null;
}

export function sameCall(a: QemuCall, b: QemuCall): boolean {
  const placed = isPlaced(a);
  return (
    a.fn === b.fn &&
    a.mm === b.mm &&
    a.whole === b.whole &&
    placed === isPlaced(b) &&
    (!placed || (a.start === b.start && a.end === b.end)) &&
    a.event === b.event &&
    a.flags === b.flags &&
    a.onlyEnd === b.onlyEnd &&
    a.ret === b.ret &&
    a.newWrite === b.newWrite
  );
}

export function callOf(call: QemuCall): unknown {
  const { fn, mm, start, end, whole, event, flags, onlyEnd, ret, newWrite } = call;
  const placed = isPlaced(call);
  return {
    fn,
    mm,
    whole,
    start: placed ? start : undefined,
    end: placed ? end : undefined,
    event,
    flags,
    onlyEnd,
    ret,
    newWrite,
  };
}

export const sameName = (a: QemuCall, b: QemuCall): boolean => a.fn === b.fn;
export const nameOf = ({ fn }: QemuCall): unknown => fn;

export function sameFault(a: QemuFault, b: QemuFault): boolean {
  return a.mm === b.mm && a.page === b.page && sameJson(a.flags, b.flags) && sameJson(a.result, b.result);
}

export const faultOf = ({ mm, page, flags, result }: QemuFault): unknown => ({ mm, page, flags, result });

export function samePteSet(a: QemuSetAccessFlags, b: QemuSetAccessFlags): boolean {
  return (
    a.fn === b.fn &&
    a.mm === b.mm &&
    a.page === b.page &&
    a.oldWrite === b.oldWrite &&
    a.newWrite === b.newWrite &&
    a.oldMayWrite === b.oldMayWrite &&
    a.newMayWrite === b.newMayWrite &&
    a.changed === b.changed
  );
}

export const pteSetOf = ({
  fn,
  mm,
  page,
  oldWrite,
  newWrite,
  oldMayWrite,
  newMayWrite,
  changed,
}: QemuSetAccessFlags): unknown => ({
  fn,
  mm,
  page,
  oldWrite,
  newWrite,
  oldMayWrite,
  newMayWrite,
  changed,
});

/** A flag that the tool of the capture did not know; there was but one that it could meet. */
const UNKNOWN_FLAG = "??";
const UNKNOWN_FLAG_MEANS = "lf";

export function sameVma(a: QemuVma, b: QemuVma): boolean {
  return (
    a.start === b.start &&
    a.end === b.end &&
    a.prot === b.prot &&
    a.shared === b.shared &&
    a.offset === b.offset &&
    (sameJson(a.flags, b.flags) || flagText(a) === flagText(b))
  );
}

export const vmaOf = (vma: QemuVma): unknown => {
  const { start, end, prot, shared, offset } = vma;
  return { start, end, prot, shared, offset, flags: flagText(vma) };
};

function flagText({ flags }: QemuVma): string {
  return flags
    .map((flag) => (flag === UNKNOWN_FLAG ? UNKNOWN_FLAG_MEANS : flag))
    .sort()
    .join(" ");
}
