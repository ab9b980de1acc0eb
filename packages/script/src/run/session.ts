import { sysMunmap } from "@mmu-notifier/core";
import type { AddressSpace, Device, Machine } from "@mmu-notifier/machine";
import type { Path } from "@mmu-notifier/steps";
import type { Unsubscribable } from "rxjs";
import { ARENA_PAGE, type Script, type Statement, storedByte } from "../script.js";
import type { PageSnapshots } from "../snapshot/page-snapshot.js";
import { vmaSnapshot } from "../snapshot/vma-snapshot.js";
import { backingName } from "./backing-files.js";
import { deviceAccess } from "./exec/devices.js";
import { type Environment } from "./exec/environment.js";
import { opPath } from "./exec/op-path.js";
import type { ProcessNotifier } from "./process-notifier.js";
import { type Cast, Recorder } from "./recorder.js";
import type { OpRecord, OpResult, Who } from "./record.js";
import type { Outcome } from "./results.js";
import { ScriptHost } from "./script-host.js";
import type { ScriptState } from "./script-state.js";
import type { SessionOptions } from "./session-options.js";

/** One access of an op, by a device or by the process itself. */
export interface ScriptAccess {
  readonly device: Device | undefined;
  readonly vpn: number;
  readonly access: "read" | "write";
  readonly value: number;
}

/**
 * One script on one machine of its own: a process, its files, its devices. Ops run one after another, or are handed out as paths for
 * somebody else to run.
 *
 * @public
 */
export class ScriptSession implements Cast {
  readonly script: Script;
  readonly machine: Machine;
  readonly process: AddressSpace;
  readonly state: ScriptState;
  readonly devices: ReadonlyMap<string, Device>;
  readonly notifier: ProcessNotifier;
  readonly #options: SessionOptions;
  readonly #recorder: Recorder;
  readonly #pages: PageSnapshots;
  readonly #subscriptions: Unsubscribable[] = [];
  /** The machine is this session's own and goes down with it. */
  readonly #own: ScriptHost | undefined;
  #actor: Who | undefined;

  /**
   * @param host a machine that other sessions used before; without one, and for a script with devices, one is booted for this session
   * @throws MachineError PLUGIN_UNKNOWN and DEVICE_BIND_FAILED for kernels, architectures, drivers and devices that cannot be had
   */
  constructor(script: Script, options: SessionOptions = {}, host?: ScriptHost) {
    this.script = script;
    this.#options = options;
    const shared = script.devices.length === 0 ? host : undefined;
    this.#own = shared === undefined ? new ScriptHost(machineOf(script, options), script.name) : undefined;
    const on = shared ?? this.#own!;
    this.machine = on.machine;
    this.process = on.process;
    this.notifier = on.notifier;
    this.state = on.begin(script);
    this.#pages = on.snapshots(script.arena);
    const k = this.machine.kernel;
    this.devices = new Map(script.devices.map((line) => [line.name, this.#attach(line)]));
    this.#recorder = new Recorder(k, this, options.detail === true);
    if (options.detail === true) this.#watchDevices();
  }

  get mm(): number {
    return this.process.mm;
  }

  get actor(): Who | undefined {
    return this.#actor;
  }

  get listening(): boolean {
    return this.state.notifier !== 0;
  }

  who(mm: number): Who | undefined {
    if (mm === this.mm) return undefined;
    const child = this.state.childOf(mm);
    return child < 0 ? `mm${mm}` : `c${child}`;
  }

  /** What the ops' paths work with, on one of the machine's CPUs. */
  environment(statement: Statement, cpu = this.process.thread.cpu): Environment {
    return {
      k: this.machine.kernel,
      t: { cpu, mm: this.mm },
      state: this.state,
      notifier: this.notifier,
      dax: this.#options.dax ?? "aligned",
      value: storedByte(statement),
    };
  }

  /** The path of an op on a CPU, for other runners than the straight one. Accesses retry for ever; see {@link accessesOf}. */
  path(statement: Statement, cpu?: number): Path<Outcome> {
    const { op } = statement;
    if (op.kind !== "device-access") return opPath(this.environment(statement, cpu), op);
    return deviceAccess(this.devices.get(op.device)!, op, storedByte(statement), this.process);
  }

  /**
   * The single accesses that an op consists of, so that a runner can repeat each by itself; undefined for ops that are not made of
   * accesses of the process or a device.
   */
  accessesOf({ op, index }: Statement): readonly ScriptAccess[] | undefined {
    if (op.kind !== "device-access" && !(op.kind === "access" && op.child < 0)) return undefined;
    const device = op.kind === "device-access" ? this.devices.get(op.device)! : undefined;
    const value = op.value ?? storedByte({ index });
    return Array.from({ length: op.pages }, (_, i) => ({
      device,
      vpn: ARENA_PAGE + op.start + i,
      access: op.write ? "write" : "read",
      value: op.kind === "access" ? value & 0xff : value,
    }));
  }

  /** Runs an op straight and says what came of it. */
  run(statement: Statement): OpRecord {
    const { op } = statement;
    this.#actor =
      "child" in op && op.kind !== "fork" && op.child >= 0 ? `c${op.child}` : isDaemon(op.kind) ? "k" : undefined;
    const outcome = this.#execute(statement);
    const { cleanup } = outcome;
    const result: OpResult = cleanup === undefined ? outcome : withoutCleanup(outcome);
    const { ev, happened, signal } = this.#recorder.take();
    const { vma, pg } = this.#options.snapshots === false ? { vma: [], pg: [] } : this.snapshot();
    const { index: i, text } = statement;
    const record: OpRecord =
      happened === undefined
        ? { i, op: text, ...result, ...signal, ev, vma, pg }
        : { i, op: text, ...result, ...signal, ev, vma, pg, happened };
    if (cleanup !== undefined) {
      this.machine.run(
        sysMunmap(this.machine.kernel, this.process.thread, cleanup.address, cleanup.length),
        "clean-up",
      );
      this.#recorder.take();
    }
    return record;
  }

  /** The record of an op that {@link run} could not finish because it threw: what happened until then. */
  interrupted(statement: Statement): OpRecord {
    const { ev, happened } = this.#recorder.take();
    return {
      i: statement.index,
      op: statement.text,
      ev,
      vma: [],
      pg: [],
      ...(happened === undefined ? {} : { happened }),
    };
  }

  /** VMAs and pages of the arena now. */
  snapshot(): Pick<OpRecord, "vma" | "pg"> {
    const k = this.machine.kernel;
    return {
      vma: vmaSnapshot(k, this.mm, this.script.arena, (file) => backingName(k, this.state, file)),
      pg: this.#pages.take(),
    };
  }

  /** Takes the session's own machine down; a host's stays up for the next. */
  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#recorder.close();
    this.#own?.close();
  }

  #execute(statement: Statement): Outcome {
    const { op } = statement;
    if (op.kind === "device-access") return this.#deviceAccess(op, storedByte(statement));
    return this.machine.run(opPath(this.environment(statement), op), this.#actor ?? "main");
  }

  /** A device's accesses, page by page; the first that can never succeed ends the op. */
  #deviceAccess(op: Extract<Statement["op"], { kind: "device-access" }>, value: number): Outcome {
    const device = this.devices.get(op.device)!;
    const how = op.write ? "write" : "read";
    for (let done = 0; done < op.pages; done++) {
      const { outcome, attempts, faults, commands, cycle } = device.access(
        ARENA_PAGE + op.start + done,
        how,
        op.value ?? value,
        this.process,
      );
      const at = op.start + done;
      if (outcome.kind === "abort") return { err: outcome.fault, at, done };
      if (outcome.kind === "livelock")
        return { err: "LIVELOCK", at, done, livelock: { attempts, faults, commands, cycle } };
      if (outcome.kind === "undecided") return { err: "UNDECIDED", at, done };
      if (op.pages === 1) return op.write ? { ret: 0 } : { val: outcome.value };
    }
    return { ret: op.pages };
  }

  #attach({ name, driver, options }: Script["devices"][number]): Device {
    return this.machine.attach(driver, { name, process: this.process, options });
  }

  #watchDevices(): void {
    for (const [name, device] of this.devices) {
      this.#subscriptions.push(device.events.subscribe((event) => this.#recorder.device(name, event)));
    }
    this.#subscriptions.push(
      this.machine.timeline.subscribe((event) => {
        if (event.source === "driver-error" && event.error.code === "DRIVER_THREW")
          this.#recorder.driverError(event.error.message);
      }),
    );
  }
}

/** What a script says of its machine counts where the options say nothing. */
function machineOf(script: Script, options: SessionOptions): SessionOptions {
  const kernel = options.kernel ?? script.kernel;
  const arch = options.arch ?? script.arch;
  return { ...options, ...(kernel === undefined ? {} : { kernel }), ...(arch === undefined ? {} : { arch }) };
}

function withoutCleanup({ cleanup: _, ...result }: Outcome): OpResult {
  return result;
}

function isDaemon(kind: Statement["op"]["kind"]): boolean {
  return kind === "ksmrun" || kind === "ksm" || kind === "khuge";
}
