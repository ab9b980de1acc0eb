import type { BusOptions, BusRules } from "@mmu-notifier/bus";
import {
  type Architecture,
  architecture,
  cpuAccess,
  createMm,
  type Geometry,
  Kernel,
  type KernelConfig,
  type KernelProfile,
  kernelProfile,
  mkPte,
  ptePfn,
  pteWrite,
  TINY,
} from "@mmu-notifier/core";
import {
  AccessRequest,
  type BoundDevice,
  createDevice,
  type Device,
  FAULT_RETRY,
  type FaultServices,
  faultServices,
  faultName,
  leafPfn,
  type SecondaryMmuDefinition,
  TRANSLATION_KILLED,
} from "@mmu-notifier/sdk";
import { type Lock, lockAt, lockClass, type LockKind, Memory, type Path, type Step, step } from "@mmu-notifier/steps";
import type { Iteration, Model, ProgressRule, TaskModel } from "../engine/model.js";
import { Completion } from "./completion.js";
import { READ_WRITE } from "./entry-flags.js";
import { KernelSteps } from "./kernel-steps.js";
import { Oracle } from "./oracle.js";
import { TrackedObject } from "./tracked-object.js";
import { sceneView } from "./view.js";

/** Which kernel a scene has. */
export interface SceneOptions {
  /** @defaultValue `v6.12` */
  readonly kernel?: string | KernelProfile;
  /** @defaultValue `arm64` */
  readonly arch?: string | Architecture;
  /** @defaultValue two levels of four entries */
  readonly geometry?: Geometry;
  readonly config?: Partial<KernelConfig>;
  /** Old rules of the notifier core. */
  readonly rules?: Partial<BusRules>;
  readonly bus?: BusOptions;
  /** An entry that is exchanged for one of another frame has to be none in between: the other way is BBM. @defaultValue false */
  readonly breakBeforeMake?: boolean;
}

/** How {@link Scene.device} makes a device. */
export interface SceneDevice<O> {
  /** @defaultValue dev0, dev1, … */
  readonly name?: string;
  readonly options?: Partial<O>;
  /** @defaultValue the first */
  readonly mm?: number;
  /** Who serves its faults. @defaultValue {@link Scene.hostFaults} */
  readonly faults?: FaultServices;
}

/** What {@link Scene.model} adds to the tasks. */
export interface SceneModel extends Model {
  /** The situation the scenario is about: a search that never meets it says nothing. Looked at in every state. */
  readonly reached?: () => boolean;
}

/** An access that reached memory: what a livelock never does. */
const ACCESS = / (reads|writes) page \d+$/;

/** How an attempt of a device or CPU ended. */
export const DONE = 1;
export const RETRY = 0;
export const ABORTED = -1;

/**
 * A stage for small scenarios on real parts: a kernel with its page tables, frames, CPU TLBs and notifier bus, devices from
 * definitions, tasks written as paths, and an {@link Oracle} that watches every use of a translation. Paths of a kernel, good
 * and bad, are put together from its steps.
 *
 * @public
 */
export class Scene extends KernelSteps {
  readonly memory = new Memory();
  readonly k: Kernel;
  readonly oracle: Oracle;
  /** The first address space. */
  readonly mm: number;
  readonly devices: BoundDevice[] = [];
  readonly #mms: number[] = [];
  readonly #tasks: TaskModel[] = [];

  constructor({
    kernel = "v6.12",
    arch = "arm64",
    geometry = TINY,
    config = {},
    rules = {},
    bus = {},
    breakBeforeMake = false,
  }: SceneOptions = {}) {
    super(breakBeforeMake);
    this.k = new Kernel({
      memory: this.memory,
      profile: typeof kernel === "string" ? kernelProfile(kernel) : kernel,
      arch: typeof arch === "string" ? architecture(arch) : arch,
      geometry,
      config: { cpus: 2, cpuTlbEntries: 2, ...config },
      bus: { ...bus, rules },
    });
    this.oracle = new Oracle(this.k, () => this.mm);
    this.mm = this.addMm();
  }

  // Setting the stage

  /** Another address space. */
  addMm(): number {
    const mm = createMm(this.k);
    this.#mms.push(mm);
    return mm;
  }

  /** Maps a page; returns its frame, a new one unless given. Nobody is told: at set-up. */
  map(vpn: number, flags = READ_WRITE, { mm = this.mm, pfn = this.k.pages.alloc() } = {}): number {
    const { mms, tables } = this.k;
    tables.set(tables.findOrCreate(mms.pgd(mm), 0, vpn), mkPte(pfn, flags));
    this.oracle.owns(pfn, mm);
    return pfn;
  }

  /** A lock that belongs to nobody else. */
  lock(name: string, kind: LockKind): Lock {
    const segment = this.memory.segment(name, 4, 1);
    return lockAt(lockClass(name, kind), segment, segment.alloc() * 4 + 1);
  }

  /** A word of shared memory. */
  word(name: string, initial = 0): { get(): number; set(value: number): void } {
    const segment = this.memory.segment(name, 4, 1);
    const at = segment.alloc() * 4 + 1;
    segment.i32[at] = initial;
    return {
      get: () => segment.i32[at]!,
      set: (value) => {
        segment.i32[at] = value;
      },
    };
  }

  /** Something with a lifetime: its use after it was freed is UAF. */
  object(name: string): TrackedObject {
    return new TrackedObject(this.memory, this.oracle, name);
  }

  /** Something that one task brings about and others wait for, as an edge of the wait-for graph. */
  completion(name: string): Completion {
    return new Completion(this.memory, name);
  }

  /** A device of a definition, bound to `mm`; its hardware runs as tasks. */
  device<D, O extends object>(
    definition: SecondaryMmuDefinition<D, O>,
    { name = `dev${this.devices.length}`, options, mm = this.mm, faults = this.hostFaults(mm) }: SceneDevice<O> = {},
  ): BoundDevice {
    const device: Device<D, O> = createDevice(this.k, definition, {
      name,
      faults: () => faults,
      ...(options === undefined ? {} : { options }),
    });
    const bound = device.bind(mm);
    this.devices.push(bound);
    for (const { name: task, run } of device.hardware) {
      this.task(
        task,
        function* () {
          yield* run();
          return [];
        },
        { serves: true },
      );
    }
    return bound;
  }

  /** The kernel's own fault paths, for scenes whose pages lie in VMAs. */
  kernelFaults(mm = this.mm): FaultServices {
    return faultServices(this.k, mm);
  }

  /** Faults that find what the page table says, and change nothing. */
  hostFaults(mm = this.mm): FaultServices {
    const found = (vpn: number, write: boolean): number => {
      const pte = this.oracle.pte(mm, vpn);
      return this.oracle.frameOf(mm, vpn) === 0 || (write && !pteWrite(pte)) ? -1 : pte;
    };
    return {
      *handleMmFault(vpn, write) {
        return yield step(`handle_mm_fault(page ${vpn})`, () => (found(vpn, write) < 0 ? 1 : 0));
      },
      *getUserPages(vpn, { write }) {
        return yield step(`get_user_page(page ${vpn})`, () => {
          const pte = found(vpn, write);
          return pte < 0 ? -14 : ptePfn(pte) * 2 + (pteWrite(pte) ? 1 : 0);
        });
      },
    };
  }

  /** Runs a path to its end before anything else happens: at set-up. */
  run<R>(path: Path<R>): R {
    return this.k.scheduler.run(path, "set-up");
  }

  // Tasks

  /** A task; one call is one iteration, see {@link TaskModel}. */
  task(
    name: string,
    start: (...locals: number[]) => Path<Iteration>,
    options: Partial<Pick<TaskModel, "locals" | "serves" | "cpu">> = {},
  ): void {
    this.#tasks.push({ name, start, ...options });
  }

  /** A task that tries an access of a device until it is through or aborted. */
  accesses(bound: BoundDevice, vpn: number, access: "read" | "write", value = 1): void {
    const attempt = (): Path<number> => this.access(bound, vpn, access, value);
    this.task(bound.context.name, function* () {
      return (yield* attempt()) === RETRY ? [] : null;
    });
  }

  /** The model: tasks, memory, and what the oracle finds. */
  model(name: string, more: Partial<Omit<SceneModel, "name" | "tasks" | "state">> = {}): SceneModel {
    const progress: ProgressRule = (_task, label, result) => result >= 0 && ACCESS.test(label);
    return {
      progress,
      reports: () => this.oracle.log.reports(),
      view: () => sceneView(this.k, this.#mms, this.devices, this.oracle),
      ...more,
      name,
      tasks: this.#tasks,
      state: this.memory,
    };
  }

  // Accesses

  /**
   * One attempt of a device: translate, use, or have the fault handled.
   *
   * @param saw told in the step of the use what the page holds
   * @returns {@link DONE}, {@link RETRY} or {@link ABORTED}
   */
  *access(
    bound: BoundDevice,
    vpn: number,
    access: "read" | "write",
    value = 1,
    saw?: (content: number) => void,
  ): Path<number> {
    const { binding, context, mm } = bound;
    const write = access === "write";
    const request = new AccessRequest(vpn, write);
    const leaf = yield* binding.translation.translate(request);
    if (leaf === TRANSLATION_KILLED) return RETRY;
    if (leaf > 0) {
      const { held } = request;
      yield step(`${context.name} ${access}s page ${vpn}`, () => {
        held.end();
        this.#use(context.name, mm, vpn, leafPfn(leaf), write, value);
        saw?.(this.k.pages.isLive(leafPfn(leaf)) ? this.k.pages.content(leafPfn(leaf)) : 0);
        return 0;
      });
      return DONE;
    }
    const code = faultName(leaf) ?? "F_TRANSLATION";
    return (yield* binding.fault.handle({ code, vpn, write })) === FAULT_RETRY ? RETRY : ABORTED;
  }

  /** One attempt of a CPU in user mode, in one step: TLB, walk, use. 0 when it went through, -1 when it faults. */
  cpuAccess(cpu: number, vpn: number, access: "read" | "write", value = 1, mm = this.mm): Step {
    const write = access === "write";
    const plain = cpuAccess(this.k, cpu, mm, vpn, access, value, true);
    return step(`cpu${cpu} ${access}s page ${vpn}`, (task) => {
      const { k } = this;
      const cached = k.tlbs.lookup(cpu, k.mms.asid(mm), vpn);
      const usable = cached !== 0 && (!write || k.pte.hwWritable(cached, false));
      if (!usable) {
        const result = plain.run(task);
        if (result < 0) return -1;
        this.oracle.use({ by: `cpu${cpu}`, mm, vpn, pfn: this.oracle.frameOf(mm, vpn), write });
        if (write) this.oracle.wrote(mm, vpn, value);
        return 0;
      }
      this.#use(`cpu${cpu}`, mm, vpn, ptePfn(cached), write, value);
      return 0;
    });
  }

  #use(by: string, mm: number, vpn: number, pfn: number, write: boolean, value: number): void {
    const memory = this.oracle.use({ by, mm, vpn, pfn, write });
    if (!write) return;
    if (memory) this.k.pages.setContent(pfn, value);
    this.oracle.wrote(mm, vpn, value);
  }
}
