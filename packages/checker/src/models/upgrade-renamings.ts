import type { Field } from "../engine/declared-state.js";
import type { Renaming } from "../engine/model.js";

/** What the renamings of the upgrade protocol have to know about it. */
interface Shape {
  readonly cpus: number;
  readonly devices: number;
  readonly pages: number;
  /** Bits of the page in a page request; the device is above them. */
  readonly pageBits: number;
  /** The bit that makes a command a CMD_SYNC; its operand is a CPU then, or the writer. */
  readonly sync: number;
  readonly fields: Readonly<
    Record<
      "pte" | "tlb" | "invalidating" | "walking" | "killed" | "answered" | "synced" | "commands" | "requests",
      Field
    >
  >;
  readonly lengths: { readonly commands: () => number; readonly requests: () => number };
}

type Permutation = readonly number[];

/** CPUs, devices and pages of the upgrade protocol are alike: every way to rename them, but for the one that changes nothing. */
export function upgradeRenamings(shape: Shape): Renaming[] {
  const all = permutations(shape.cpus).flatMap((cpu) =>
    permutations(shape.devices).flatMap((device) => permutations(shape.pages).map((page) => ({ cpu, device, page }))),
  );
  return all
    .filter((names) => !Object.values(names).every((permutation) => permutation.every((to, from) => to === from)))
    .map((names) => renaming(shape, names));
}

function renaming(
  shape: Shape,
  { cpu, device, page }: { readonly cpu: Permutation; readonly device: Permutation; readonly page: Permutation },
): Renaming {
  const { cpus, devices, pages, pageBits, sync, fields, lengths } = shape;
  const writer = cpus;
  const firstDevice = cpus + 1;
  const isDevice = (task: number): boolean => task >= firstDevice && task < firstDevice + devices;
  const request = (value: number): number =>
    (device[value >> pageBits]! << pageBits) | page[value & ((1 << pageBits) - 1)]!;
  const command = (value: number): number => {
    if ((value & sync) === 0) return page[value]!;
    return sync | (cpu[value & (sync - 1)] ?? value & (sync - 1));
  };
  return {
    state: () => {
      permute(fields.pte, page);
      permute(fields.invalidating, page);
      permute(fields.walking, device, (value) => (value === 0 ? 0 : page[value - 1]! + 1));
      permute(fields.killed, device);
      permute(fields.answered, device);
      permute(fields.synced, [...cpu, cpus]);
      permute(
        fields.tlb,
        device.flatMap((to) => page.map((toPage) => to * pages + toPage)),
      );
      for (let i = 0; i < lengths.commands(); i++) fields.commands.set(i, command(fields.commands.get(i)));
      for (let i = 0; i < lengths.requests(); i++) fields.requests.set(i, request(fields.requests.get(i)));
    },
    task: (task) => {
      if (task < cpus) return cpu[task]!;
      return isDevice(task) ? firstDevice + device[task - firstDevice]! : task;
    },
    locals: (task, locals) => (isDevice(task) && locals[1]! >= 0 ? [locals[0]!, page[locals[1]!]!] : locals),
    result: (task, label, result) => {
      if (label === "take page request") return request(result);
      if ((task === writer && label === "page to protect") || label === "page to write") return page[result]!;
      return result;
    },
  };
}

/** Moves element `i` of a field to `to[i]`. */
function permute(field: Field, to: Permutation, change: (value: number) => number = (value) => value): void {
  const before = to.map((_, i) => field.get(i));
  before.forEach((value, i) => field.set(to[i]!, change(value)));
}

function permutations(count: number): Permutation[] {
  if (count === 0) return [[]];
  return permutations(count - 1).flatMap((shorter) =>
    Array.from({ length: count }, (_, at) => [...shorter.slice(0, at), count - 1, ...shorter.slice(at)]),
  );
}
