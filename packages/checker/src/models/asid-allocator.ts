import { choose, type Path, Step, step } from "@mmu-notifier/steps";
import { DeclaredState } from "../engine/declared-state.js";
import { ModelError } from "../engine/errors.js";
import type { Iteration, Model, TaskModel } from "../engine/model.js";
import { AT, BASE, decode, encode, LABELS, type Locals, NONE, pack, START, unpack } from "./asid-locals.js";

/**
 * Size of the model.
 *
 * @public
 */
export interface AsidAllocatorOptions {
  /** @defaultValue 2 */
  readonly cpus?: number;
  /** Address spaces that the CPUs switch between. @defaultValue 2 */
  readonly mms?: number;
  /** ASIDs, number 0 included, which is reserved. @defaultValue 4 */
  readonly asids?: number;
  /** Generations after which a search goes no further. @defaultValue 2 */
  readonly generations?: number;
}

const MAPPED = 0;
const UNMAPPED = 1;
const INVALIDATED = 2;

/**
 * The ASID allocator of arm64 (arch/arm64/mm/context.c) with the CPUs' TLBs and a task that unmaps pages, at the granularity of
 * Catalin Marinas's TLA+ model: 197,000 states and 652,477 generated (the first one included) for the default size, as TLC counts.
 *
 * @public
 */
export function asidAllocator(options: AsidAllocatorOptions = {}): Model {
  const { cpus = 2, mms = 2, asids = 4, generations = 2 } = options;
  if ((generations + 1) * asids > BASE - 1) {
    throw new ModelError(
      "CHECKER_ASID_SIZE",
      `asidAllocator: ${asids} ASIDs in ${generations} generations are too many; (generations + 1) * asids is at most ${BASE - 1}`,
      {
        asids,
        generations,
      },
    );
  }
  const allCpus = 2 ** cpus - 1;
  // An ASID with its generation is one number; 0 is NULL_ASID.
  const pairBits = 32 - Math.clz32((generations + 1) * asids);
  const pair = (asid: number, generation: number): number => generation * asids + asid;
  const asidOf = (value: number): number => value % asids;
  const generationOf = (value: number): number => Math.floor(value / asids);

  const state = new DeclaredState();
  const locked = state.field("cpu_asid_lock", 1);
  const generation = state.field("asid_generation", 3, 1, 1);
  const map = state.field("asid_map", 1, asids);
  const active = state.field("active_asids", pairBits, cpus);
  const reserved = state.field("reserved_asids", pairBits, cpus);
  const pending = state.field("tlb_flush_pending", 1, cpus);
  const current = state.field("cur_idx", 4, 1, 1);
  const context = state.field("context id", pairBits, mms + 1);
  const wasReserved = state.field("result of check_update_reserved_asid", 1, cpus);
  const newContext = state.field("result of new_context", pairBits, cpus);
  const pte = state.field("pte", 2, mms + 1);
  const ttbrMm = state.field("mm in TTBR0", 4, cpus);
  const ttbrAsid = state.field("ASID in TTBR0", 4, cpus);
  /** A bit for each mm and ASID. */
  const tlb = state.field("tlb", (mms + 1) * asids, cpus);
  const entry = (mm: number, asid: number): number => 1 << (mm * asids + asid);
  const entriesOf = (mm: number): number => ((1 << asids) - 1) << (mm * asids);

  const freeAsid = (from: number): number => {
    for (let a = from; a < asids; a++) if (map.get(a) === 0) return a;
    return NONE;
  };
  const lowest = (set: number): number => 31 - Math.clz32(set & -set);

  /** Takes one step of `cpu`; changes shared state and the locals. */
  const take = (cpu: number, l: Locals): void => {
    const back = (): void => {
      Object.assign(l, { at: AT.GOT_CONTEXT, work: NONE, newAsid: NONE, generation: NONE, wasSet: NONE });
    };
    switch (l.at) {
      case AT.ENTER:
        Object.assign(l, { at: AT.CHECK_GENERATION, asid: context.get(l.mm), oldActive: active.get(cpu) });
        break;
      case AT.CHECK_GENERATION:
        l.at = l.oldActive !== 0 && generationOf(l.asid) === generation.get() ? AT.CMPXCHG : AT.SLOW_PATH;
        break;
      case AT.CMPXCHG:
        if (active.get(cpu) === l.oldActive) active.set(cpu, l.asid);
        else l.oldActive = active.get(cpu);
        l.at = AT.CHECK_ROLL_OVER;
        break;
      case AT.CHECK_ROLL_OVER:
        l.at = l.oldActive === 0 ? AT.SLOW_PATH : AT.FAST_PATH;
        break;
      case AT.SLOW_PATH:
        locked.set(0, 1);
        l.asid = context.get(l.mm);
        l.at = generationOf(l.asid) === generation.get() ? AT.FLUSH_PENDING : AT.NEW_CONTEXT;
        break;
      case AT.NEW_CONTEXT:
        l.work = context.get(l.mm);
        l.generation = generation.get();
        l.at = l.work === 0 ? AT.ALLOCATE : AT.UPDATE_RESERVED;
        if (l.work !== 0) l.newAsid = pair(asidOf(l.work), l.generation);
        break;
      case AT.UPDATE_RESERVED:
        wasReserved.set(cpu, 0);
        Object.assign(l, { at: AT.UPDATE_RESERVED_CPU, left: allCpus });
        break;
      case AT.UPDATE_RESERVED_CPU:
        if (l.left === 0) {
          Object.assign(l, { at: AT.UPDATED_RESERVED, left: NONE, cpu: NONE });
          break;
        }
        l.cpu = lowest(l.left);
        if (reserved.get(l.cpu) === l.work) {
          wasReserved.set(cpu, 1);
          reserved.set(l.cpu, l.newAsid);
        }
        l.left &= l.left - 1;
        break;
      case AT.UPDATED_RESERVED:
        if (wasReserved.get(cpu) === 0) l.at = AT.TRY_OLD_ASID;
        else {
          newContext.set(cpu, l.newAsid);
          back();
        }
        break;
      case AT.TRY_OLD_ASID:
        l.wasSet = map.get(asidOf(l.work));
        map.set(asidOf(l.work), 1);
        if (l.wasSet === 0) newContext.set(cpu, l.newAsid);
        l.at = l.wasSet === 0 ? AT.KEEP_OLD_ASID : AT.ALLOCATE;
        break;
      case AT.KEEP_OLD_ASID:
        back();
        break;
      case AT.ALLOCATE: {
        const free = freeAsid(current.get());
        l.at = free === NONE ? AT.NEXT_GENERATION : AT.SET_ASID;
        if (free !== NONE) l.work = pair(free, generationOf(l.work));
        break;
      }
      case AT.NEXT_GENERATION:
        generation.set(0, generation.get() + 1);
        Object.assign(l, { at: AT.FLUSH_CONTEXT, generation: generation.get() });
        break;
      case AT.FLUSH_CONTEXT:
        for (let a = 0; a < asids; a++) map.set(a, 0);
        Object.assign(l, { at: AT.FLUSH_CONTEXT_CPU, left: allCpus });
        break;
      case AT.FLUSH_CONTEXT_CPU:
        if (l.left === 0) {
          for (let c = 0; c < cpus; c++) pending.set(c, 1);
          Object.assign(l, { at: AT.FLUSHED_CONTEXT, left: NONE, cpu: NONE, taken: NONE });
          break;
        }
        l.cpu = lowest(l.left);
        l.taken = active.get(l.cpu);
        active.set(l.cpu, 0);
        l.at = AT.FLUSH_CONTEXT_RESERVE;
        break;
      case AT.FLUSH_CONTEXT_RESERVE:
        if (l.taken === 0) l.taken = reserved.get(l.cpu);
        map.set(asidOf(l.taken), 1);
        reserved.set(l.cpu, l.taken);
        Object.assign(l, { at: AT.FLUSH_CONTEXT_CPU, left: l.left & (l.left - 1) });
        break;
      case AT.FLUSHED_CONTEXT:
        Object.assign(l, { at: AT.SET_ASID, work: pair(freeAsid(1), generationOf(l.work)) });
        break;
      case AT.SET_ASID:
        map.set(asidOf(l.work), 1);
        current.set(0, asidOf(l.work));
        newContext.set(cpu, pair(asidOf(l.work), l.generation));
        back();
        break;
      case AT.GOT_CONTEXT:
        l.asid = newContext.get(cpu);
        context.set(l.mm, l.asid);
        l.at = AT.FLUSH_PENDING;
        break;
      case AT.FLUSH_PENDING:
        // local_flush_tlb_all(); the table in TTBR0 may be walked again at once.
        if (pending.get(cpu) === 1) {
          pending.set(cpu, 0);
          tlb.set(cpu, l.active === 0 ? 0 : tlb.get(cpu) & entriesOf(l.active));
        }
        l.at = AT.SET_ACTIVE;
        break;
      case AT.SET_ACTIVE:
        active.set(cpu, l.asid);
        locked.set(0, 0);
        l.at = AT.FAST_PATH;
        break;
      default:
        // A new TTBR may be walked at once.
        ttbrMm.set(cpu, l.mm);
        ttbrAsid.set(cpu, asidOf(l.asid));
        if (pte.get(l.mm) === MAPPED) tlb.set(cpu, tlb.get(cpu) | entry(l.mm, asidOf(context.get(l.mm))));
        Object.assign(l, { at: AT.SCHEDULE, active: l.mm, mm: NONE, asid: NONE, oldActive: NONE });
    }
  };

  const cpuTask = (cpu: number) =>
    function* switchContext(...values: number[]): Path<Iteration> {
      const locals = unpack(values);
      if (locals.at === AT.SCHEDULE) {
        const mm = 1 + (yield choose(LABELS[AT.SCHEDULE], mms));
        return mm === locals.active ? values : pack({ ...locals, at: AT.ENTER, mm });
      }
      const ready = (): boolean =>
        locals.at === AT.SLOW_PATH
          ? locked.get() === 0
          : locals.at !== AT.NEXT_GENERATION || generation.get() < generations;
      const run = (): number => {
        const after = { ...locals };
        take(cpu, after);
        return encode(after);
      };
      const next = decode(yield new Step(LABELS[locals.at]!, run, ready));
      return pack(next);
    };

  function* tryToUnmap(at: number, mm: number, asid: number): Path<Iteration> {
    switch (at) {
      case 0:
        return [1, 1 + (yield choose("try_to_unmap", mms)), NONE];
      case 1:
        yield step("ptep_clear", () => {
          pte.set(mm, UNMAPPED);
          return 0;
        });
        return [2, mm, NONE];
      case 2:
        return [3, mm, yield step("read the ASID", () => asidOf(context.get(mm)))];
      case 3:
        yield step("TLBI ASIDE1IS", () => {
          for (let c = 0; c < cpus; c++) for (let m = 1; m <= mms; m++) tlb.set(c, tlb.get(c) & ~entry(m, asid));
          return 0;
        });
        return [4, mm, asid];
      default:
        yield step("TLBI done", () => {
          pte.set(mm, INVALIDATED);
          return 0;
        });
        return [0, NONE, NONE];
    }
  }

  const tasks: TaskModel[] = Array.from({ length: cpus }, (_, cpu) => ({
    name: `cpu${cpu}`,
    start: cpuTask(cpu),
    locals: pack(START),
  }));
  tasks.push({ name: "ttu", start: tryToUnmap, locals: [0, NONE, NONE] });

  const each = <T>(count: number, what: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => what(i));
  return {
    name: "ASID allocator",
    tasks,
    state,
    invariants: [
      {
        name: "an ASID means one mm on each CPU",
        verdict: "ISOLATION",
        holds: () =>
          each(cpus, (c) =>
            each(
              asids,
              (a) => each(mms, (m) => (tlb.get(c) & entry(m + 1, a)) !== 0).filter(Boolean).length <= 1,
            ).every(Boolean),
          ).every(Boolean),
      },
      {
        name: "no TLB holds an entry of an mm that runs and whose pte is invalidated",
        verdict: "STALE-USE",
        holds: () =>
          each(cpus, (c) => ttbrMm.get(c)).every(
            (mm) =>
              mm === 0 ||
              pte.get(mm) !== INVALIDATED ||
              each(cpus, (c) => (tlb.get(c) & entry(mm, asidOf(context.get(mm)))) === 0).every(Boolean),
          ),
      },
    ],
  };
}
