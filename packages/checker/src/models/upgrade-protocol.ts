import { choose, type Path, Step, step } from "@mmu-notifier/steps";
import { DeclaredState, type Field } from "../engine/declared-state.js";
import type { Iteration, Model, TaskModel } from "../engine/model.js";
import { upgradeRenamings } from "./upgrade-renamings.js";
import { violation } from "../engine/verdict.js";

/**
 * Size of the model, and its switches.
 *
 * @public
 */
export interface UpgradeProtocolOptions {
  /** CPUs that serve page requests. @defaultValue 2 */
  readonly cpus?: number;
  /** Devices behind the SMMU. @defaultValue 2 */
  readonly devices?: number;
  /** Pages, all read-only at first. @defaultValue 2 */
  readonly pages?: number;
  /** Times the writer makes a page read-only again. @defaultValue 1 */
  readonly downgrades?: number;
  /** Writes of each device. @defaultValue 1 */
  readonly writes?: number;
  /** Send MMU_NOTIFY_PROTECTION_UPGRADE after the page-table lock is dropped. @defaultValue true */
  readonly notify?: boolean;
  /** An invalidation also kills walks that are under way. @defaultValue true */
  readonly killWalks?: boolean;
}

const INVALID = 0;
const READ_ONLY = 1;
const READ_WRITE = 2;
const QUEUE_DEPTH = 4;

/** Bits that hold the values 0 to `most`. */
const bitsFor = (most: number): number => Math.max(1, 32 - Math.clz32(most));

/** A step that waits without the checks of a sleeping kernel function: all of these are hardware or spin. */
const when = (label: string, ready: () => boolean, run: () => number): Step => new Step(label, run, ready);

/** A FIFO in declared fields. */
class Fifo {
  readonly #length: Field;
  readonly items: Field;

  constructor(state: DeclaredState, name: string, depth: number, bits: number) {
    this.#length = state.field(`${name} length`, bitsFor(depth));
    this.items = state.field(name, bits, depth);
  }

  get length(): number {
    return this.#length.get();
  }

  push(item: number): number {
    const at = this.#length.get();
    this.items.set(at, item);
    this.#length.set(0, at + 1);
    return 0;
  }

  shift(): number {
    const items = this.items;
    const first = items.get(0);
    const last = this.#length.get() - 1;
    for (let i = 0; i < last; i++) items.set(i, items.get(i + 1));
    items.set(last, 0);
    this.#length.set(0, last);
    return first;
  }
}

/**
 * The seed's protocol, as the SPIN model in bench/anchors/mmu.pml has it: CPUs that upgrade a page and notify after the lock is
 * dropped, a writer that makes pages read-only, devices that walk and fill their TLB in two steps, one command queue.
 *
 * @public
 */
export function upgradeProtocol(options: UpgradeProtocolOptions = {}): Model {
  const { cpus = 2, devices = 2, pages = 2, downgrades = 1, writes = 1, notify = true, killWalks = true } = options;
  const state = new DeclaredState();
  const pageBits = bitsFor(pages - 1);
  const operandBits = bitsFor(Math.max(cpus, pages - 1));
  const pte = state.field("pte", 2, pages, READ_ONLY);
  const ptl = state.field("page_table_lock", 1);
  const tlb = state.field("tlb", 2, devices * pages);
  const invalidating = state.field("invalidating", 1, pages);
  const walking = state.field("walking", bitsFor(pages), devices);
  const killed = state.field("killed", 1, devices);
  const answered = state.field("answered", 1, devices);
  const synced = state.field("synced", 1, cpus + 1);
  const commands = new Fifo(state, "command queue", QUEUE_DEPTH, 1 + operandBits);
  const requests = new Fifo(state, "page requests", devices, bitsFor(devices - 1) + pageBits);
  const sync = 1 << operandBits;
  const room = (): boolean => commands.length < QUEUE_DEPTH;

  const take = (label: string): Step =>
    when(
      label,
      () => ptl.get() === 0,
      () => {
        ptl.set(0, 1);
        return 0;
      },
    );
  const drop = (label: string): Step =>
    step(label, () => {
      ptl.set(0, 0);
      return 0;
    });

  const fault = (cpu: number) =>
    function* handlePageRequest(): Path<Iteration> {
      const request = yield when(
        "take page request",
        () => requests.length > 0,
        () => requests.shift(),
      );
      const device = request >> pageBits;
      const page = request & ((1 << pageBits) - 1);
      yield take("spin_lock(ptl)");
      const changed = yield step(`ptep_set_access_flags(page ${page})`, () => {
        if (pte.get(page) === READ_WRITE) return 0;
        pte.set(page, READ_WRITE);
        return 1;
      });
      yield drop("spin_unlock(ptl)");
      if (notify && changed !== 0) {
        yield when(`CMD_TLBI(page ${page})`, room, () => commands.push(page));
        yield when("CMD_SYNC", room, () => commands.push(sync | cpu));
        yield when(
          `SYNC done; answer device ${device}`,
          () => synced.get(cpu) === 1,
          () => {
            synced.set(cpu, 0);
            answered.set(device, 1);
            return 0;
          },
        );
      } else {
        yield step(`answer device ${device}`, () => {
          answered.set(device, 1);
          return 0;
        });
      }
      return [];
    };

  function* writeProtect(round: number): Path<Iteration> {
    if (round === downgrades) return null;
    const page = yield choose("page to protect", pages);
    yield take("spin_lock(ptl)");
    yield step(`ptep_set_wrprotect(page ${page})`, () => {
      pte.set(page, READ_ONLY);
      invalidating.set(page, invalidating.get(page) + 1);
      return 0;
    });
    yield drop("spin_unlock(ptl)");
    yield when(`CMD_TLBI(page ${page})`, room, () => commands.push(page));
    yield when("CMD_SYNC", room, () => commands.push(sync | cpus));
    yield when(
      "SYNC done",
      () => synced.get(cpus) === 1,
      () => {
        synced.set(cpus, 0);
        invalidating.set(page, invalidating.get(page) - 1);
        return 0;
      },
    );
    return [round + 1];
  }

  const device = (id: number) =>
    function* write(written: number, page: number): Path<Iteration> {
      if (page < 0) {
        if (written === writes) return null;
        return [written, yield choose("page to write", pages)];
      }
      const entry = id * pages + page;
      const found = yield step(`write page ${page}`, () => {
        const right = tlb.get(entry);
        if (right === READ_WRITE && pte.get(page) !== READ_WRITE && invalidating.get(page) === 0) {
          violation(
            "STALE-USE",
            `TLB entry of page ${page} in device ${id}`,
            `device ${id} wrote page ${page} through an entry that was revoked`,
          );
        }
        if (right === INVALID) {
          walking.set(id, page + 1);
          killed.set(id, 0);
        }
        return right;
      });
      if (found === READ_WRITE) return [written + 1, -1];
      if (found === READ_ONLY) {
        yield step(`page request for page ${page}`, () => requests.push((id << pageBits) | page));
        yield when(
          "page response",
          () => answered.get(id) === 1,
          () => {
            answered.set(id, 0);
            return 0;
          },
        );
        return [written, page];
      }
      const walked = yield step(`walk: read pte of page ${page}`, () => pte.get(page));
      yield step(`walk: fill page ${page}`, () => {
        if (!killWalks || killed.get(id) === 0) tlb.set(entry, walked);
        walking.set(id, 0);
        killed.set(id, 0);
        return 0;
      });
      return [written, page];
    };

  function* consume(): Path<Iteration> {
    yield when(
      "SMMU consumes a command",
      () => commands.length > 0,
      () => {
        const command = commands.shift();
        const operand = command & (sync - 1);
        if ((command & sync) !== 0) synced.set(operand, 1);
        else {
          for (let d = 0; d < devices; d++) {
            tlb.set(d * pages + operand, INVALID);
            if (walking.get(d) === operand + 1) killed.set(d, 1);
          }
        }
        return 0;
      },
    );
    return [];
  }

  const tasks: TaskModel[] = [];
  for (let cpu = 0; cpu < cpus; cpu++) tasks.push({ name: `cpu${cpu}`, start: fault(cpu), serves: true });
  tasks.push({ name: "writer", start: writeProtect, locals: [0] });
  for (let d = 0; d < devices; d++) tasks.push({ name: `dev${d}`, start: device(d), locals: [0, -1] });
  tasks.push({ name: "smmu", start: consume, serves: true });
  return {
    name: "upgrade protocol",
    tasks,
    state,
    symmetry: upgradeRenamings({
      cpus,
      devices,
      pages,
      pageBits,
      sync,
      fields: {
        pte,
        tlb,
        invalidating,
        walking,
        killed,
        answered,
        synced,
        commands: commands.items,
        requests: requests.items,
      },
      lengths: { commands: () => commands.length, requests: () => requests.length },
    }),
    progress: (task, label, result) =>
      task.startsWith("dev") && label.startsWith("write page") && result === READ_WRITE,
  };
}
