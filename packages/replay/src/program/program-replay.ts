import { sysFork, userAccess } from "@mmu-notifier/core";
import type { Machine } from "@mmu-notifier/machine";
import type { Path } from "@mmu-notifier/steps";
import type {
  CallRecord,
  FaultRecord,
  NewRecord,
  NotifyRecord,
  ReturnRecord,
  TraceRecord,
} from "../read/trace-record.js";
import { BackingFiles } from "./backing-files.js";
import { accessOf, causeOf, type FaultAccess, FaultReplay } from "./fault-replay.js";
import { buildAddressSpace } from "./initial-maps.js";
import { type LoadedProgram, ProgramLoader } from "./program-loader.js";
import { ProcessTable } from "./process-table.js";
import type { ReplayDevices } from "./replay-devices.js";
import { ReplayedProcess } from "./replayed-process.js";
import { finishedCall, isReplayed, replayCall } from "./system-calls.js";
import { recordStarts } from "./trace-recorder.js";

const CLONE_VM = 0x100;
const CLONE_THREAD = 0x10000;

type Counts = Record<string, number>;

function addOne(counts: Counts, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** A write fault whose outcome decides when an exited child's memory went. */
interface WaitingFault {
  readonly record: FaultRecord;
  readonly fault: FaultAccess;
  readonly process: ReplayedProcess;
}

/**
 * Replays the records of a program trace on a machine, one after the other.
 *
 * A process enters the model with its MAPS block; a child that is forked from such a process is followed too. A system call is
 * made when it returns, with its result at hand. A fault becomes the access that took it.
 */
export class ProgramReplay {
  readonly processes: ProcessTable;
  readonly faults: FaultReplay;
  readonly systemCalls: Counts = {};
  readonly ignoredCalls: Counts = {};
  readonly notifications: Counts = {};
  readonly upgrades: Counts = {};
  readonly #machine: Machine;
  readonly #devices: ReplayDevices;
  readonly #files: BackingFiles;
  readonly #loader = new ProgramLoader();
  readonly #recorders = new Map<ReplayedProcess, () => void>();
  /** Calls under way, what each thread did last, and faults that wait for their outcome: by thread. */
  readonly #calls = new Map<number, CallRecord>();
  readonly #doing = new Map<number, string>();
  readonly #waiting = new Map<number, WaitingFault>();

  constructor(machine: Machine, devices: ReplayDevices) {
    this.#machine = machine;
    this.#devices = devices;
    this.#files = new BackingFiles(machine.kernel);
    this.faults = new FaultReplay(machine);
    this.processes = new ProcessTable(machine, (process) => {
      devices.detach(process.space);
      this.#recorders.get(process)?.();
    });
    machine.kernel.events.subscribe((event) => {
      if (event.kind === "upgrade" && this.#isRecorded(event.mm)) addOne(this.upgrades, event.site);
    });
  }

  /** The next record of the trace. */
  next(record: TraceRecord): void {
    if (record.kind === "vma") return this.#loader.vma(record);
    this.#startLoaded();
    if (record.kind !== "flush") this.#resolve(record.tid, record.kind === "notify");
    switch (record.kind) {
      case "fault":
        return this.#fault(record);
      case "call":
        return this.#called(record);
      case "return":
        return this.#returned(record);
      case "notify":
        return this.#notified(record);
      case "new":
        return this.#clone(record);
      case "exec":
        this.processes.exec(record.tgid);
        return this.#loader.exec(record.tgid, record.file);
      case "exit":
        if (record.last) this.processes.exit(record.tgid);
        return;
      case "maps":
        return this.#loader.maps(record);
      case "age":
      case "flush":
        return;
    }
  }

  /** The end of the trace. */
  end(): void {
    this.#startLoaded();
    for (const tid of this.#waiting.keys()) this.#resolve(tid, false);
    this.processes.end();
    this.#machine.settle();
  }

  #startLoaded(): void {
    const loaded = this.#loader.finished();
    if (loaded !== undefined) this.#start(loaded);
  }

  #start(loaded: LoadedProgram): void {
    const { pid, program, recorded, line } = loaded;
    const { kernel } = this.#machine;
    const space = this.#machine.createProcess({ name: `${program.replace(/^.*\//, "")} ${pid}` });
    const process = new ReplayedProcess(pid, program, space, { recorded, forked: false });
    this.processes.add(process);
    process.does(pid, "start", line);
    const access = (vpn: number, write: boolean): Path<number> =>
      userAccess(kernel, space.thread, vpn, write ? "write" : "read", 1);
    this.#machine.run(buildAddressSpace(kernel, space.thread, loaded, this.#files, access), "exec");
    // As the recording did, the model listens from here on.
    const stop = recordStarts(space, ({ start, end, event = "?" }) => {
      process.modelNotified(start, end);
      addOne(this.notifications, event);
    });
    this.#recorders.set(process, stop);
    this.#devices.attach(space);
  }

  #clone({ tid, tgid, child, flags, line }: NewRecord): void {
    const parent = this.processes.get(tgid);
    const shares = (flags & CLONE_VM) !== 0;
    if (parent === undefined || (shares && (flags & CLONE_THREAD) !== 0)) return;
    if (shares) return this.processes.share(child, parent);
    parent.does(tid, "fork", line);
    const mm = this.#machine.run(sysFork(this.#machine.kernel, parent.space.thread), "fork");
    if (mm <= 0) return;
    const space = this.#machine.adopt(mm, { name: `${parent.space.name} fork ${child}` });
    this.processes.add(new ReplayedProcess(child, parent.program, space, { recorded: false, forked: true }));
  }

  #fault(record: FaultRecord): void {
    const fault = accessOf(record);
    const process = this.processes.get(record.tgid);
    if (process === undefined) {
      this.#loader.fault(record.tgid, { vpn: fault.vpn, write: fault.access === "write", kernel: fault.kernel });
      return;
    }
    this.#doing.set(record.tid, causeOf(fault));
    this.#waiting.set(record.tid, { record, fault, process });
    const mayReuse = process.recorded && fault.present && fault.access === "write" && this.processes.hasExited;
    if (!mayReuse) this.#resolve(record.tid, true);
  }

  /** Makes a fault now that its outcome is known: a write to a page that was there is either notified or in place. */
  #resolve(tid: number, notified: boolean): void {
    const waiting = this.#waiting.get(tid);
    if (waiting === undefined) return;
    this.#waiting.delete(tid);
    const { record, fault, process } = waiting;
    const { vpn } = fault;
    if (!notified) this.processes.releaseSharersOf(process.space.mm, vpn, record.line);
    process.does(tid, causeOf(fault), record.line);
    if (this.faults.replay(process.space.thread, fault))
      this.#devices.follow(process.space, vpn, fault.access === "write");
  }

  #called(record: CallRecord): void {
    this.#calls.set(record.tid, record);
    this.#doing.set(record.tid, record.name);
  }

  #returned({ tid, tgid, name, result }: ReturnRecord): void {
    const call = this.#calls.get(tid);
    this.#calls.delete(tid);
    if (call === undefined || call.name !== name) return;
    this.#doing.set(tid, `after ${name}`);
    const process = this.processes.get(tgid);
    if (process === undefined) {
      if (name === "brk" && result >= 0) this.#loader.brk(tgid, result);
      return;
    }
    if (!isReplayed(name)) return addOne(this.ignoredCalls, name);
    addOne(this.systemCalls, name);
    process.does(tid, name, call.line);
    const context = { k: this.#machine.kernel, t: process.space.thread, pid: tgid, files: this.#files };
    this.#machine.run(replayCall(context, finishedCall(call, result)), name);
  }

  #notified({ tid, tgid, start, end, line }: NotifyRecord): void {
    this.processes.get(tgid)?.traceNotified(tid, { start, end, line, cause: this.#doing.get(tid) ?? "start" });
  }

  #isRecorded(mm: number): boolean {
    for (const process of this.#recorders.keys()) if (process.space.mm === mm) return true;
    return false;
  }
}
