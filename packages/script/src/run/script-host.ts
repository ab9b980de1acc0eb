import { type AddressSpace, createMachine, type Machine } from "@mmu-notifier/machine";
import { type Path, type Segment, step } from "@mmu-notifier/steps";
import type { Script } from "../script.js";
import { PageSnapshots } from "../snapshot/page-snapshot.js";
import { builtInFiles, fileNames } from "../built-in-files.js";
import { createBuiltInFiles } from "./backing-files.js";
import { ProcessNotifier } from "./process-notifier.js";
import { ScriptState } from "./script-state.js";
import type { SessionOptions } from "./session-options.js";

/** Set-ups that are kept: scripts of a generator need a few dozen. */
const SET_UPS = 64;

/** What a machine is before the first op of scripts that need the same. */
interface SetUp {
  readonly state: ScriptState;
  readonly memory: Int32Array;
  /** The state's own segments; a script may have made them wider. */
  segments: readonly Segment[];
}

/**
 * A booted machine with one process, for one script after another: each finds the machine as it was booted, with its own files
 * set up. Without devices all state of a machine is in its memory, so putting the memory back is booting it again.
 */
export class ScriptHost {
  readonly machine: Machine;
  readonly process: AddressSpace;
  readonly notifier: ProcessNotifier;
  readonly #listen: boolean;
  readonly #uffdAtRegister: boolean;
  readonly #segments: number;
  readonly #booted: Int32Array;
  readonly #setUps = new Map<string, SetUp>();
  #current: SetUp | undefined;
  readonly #snapshots = new Map<number, PageSnapshots>();

  /** @throws MachineError PLUGIN_UNKNOWN */
  constructor(options: SessionOptions, name: string) {
    const { kernel, arch, config, geometry, registry } = options;
    this.machine = createMachine({
      ...(kernel === undefined ? {} : { kernel }),
      ...(arch === undefined ? {} : { arch }),
      ...(config === undefined ? {} : { config }),
      ...(geometry === undefined ? {} : { geometry }),
      ...(registry === undefined ? {} : { registry }),
    });
    this.process = this.machine.createProcess({ name });
    this.notifier = new ProcessNotifier(this.machine.kernel, this.process.mm);
    this.#listen = options.listen !== false;
    this.#uffdAtRegister = options.uffdAtRegister !== false;
    const { memory } = this.machine;
    this.#segments = memory.segments.length;
    this.#booted = memory.save();
  }

  /** Boots again and sets a script's files and notifier up. */
  begin(script: Script): ScriptState {
    const { memory, kernel } = this.machine;
    const own = memory.segments.splice(this.#segments);
    if (this.#current !== undefined) this.#current.segments = own;
    const names = fileNames(script);
    const files = builtInFiles(names, script.arena, kernel.tables.hugePages);
    const opensUffd = !this.#uffdAtRegister || script.statements.some(({ op }) => op.kind === "uffd");
    const needs = JSON.stringify([names, script.children, opensUffd, files]);
    let setUp = this.#setUps.get(needs);
    if (setUp === undefined) {
      memory.restore(this.#booted);
      const state = new ScriptState(memory, names, script.children, opensUffd);
      this.machine.run(this.#setUp(state, script.arena), "set-up");
      setUp = { state, memory: memory.save(), segments: [] };
      if (this.#setUps.size === SET_UPS) this.#setUps.clear();
      this.#setUps.set(needs, setUp);
    } else {
      memory.segments.push(...setUp.segments);
      memory.restore(setUp.memory);
    }
    this.#current = setUp;
    return setUp.state;
  }

  /** Snapshots of an arena, from their beginning. */
  snapshots(arena: number): PageSnapshots {
    let snapshots = this.#snapshots.get(arena);
    if (snapshots === undefined) {
      snapshots = new PageSnapshots(this.machine.kernel, this.process.mm, arena);
      this.#snapshots.set(arena, snapshots);
    }
    snapshots.begin();
    return snapshots;
  }

  /** Takes the machine down. */
  close(): void {
    this.machine.close();
  }

  *#setUp(state: ScriptState, arena: number): Path {
    const { kernel: k } = this.machine;
    const { thread: t } = this.process;
    yield* createBuiltInFiles(k, t, state, arena);
    if (!this.#listen) return;
    const subscription = yield* this.notifier.open(t.mm);
    yield step("kvm: VM created", () => {
      state.setNotifier(subscription);
      return 0;
    });
  }
}
