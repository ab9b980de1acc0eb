import type { Geometry } from "@mmu-notifier/core";
import {
  ARENA_PAGE,
  type OpRecord,
  type Script,
  ScriptSession,
  type SessionOptions,
  SLACK_PAGES,
  type Statement,
} from "@mmu-notifier/script";
import type { Verdict } from "../engine/verdict.js";
import type { Model } from "../engine/model.js";
import { type MachineModelOptions, machineModel } from "./machine-model.js";
import { cpuAccesses, deviceAccesses, type Operation, operation } from "./operation.js";
import type { StepRule } from "./observed.js";
import type { MachineThread } from "./thread-task.js";

/** How a script becomes a model. */
export interface ScriptModelOptions
  extends
    Pick<SessionOptions, "kernel" | "arch" | "config" | "geometry" | "registry" | "dax">,
    Pick<MachineModelOptions, "coherence" | "invariants"> {
  /** Threads beside those of the script. */
  readonly threads?: (session: ScriptSession) => readonly MachineThread[];
  /** More rules, for steps. */
  readonly rules?: (session: ScriptSession) => readonly StepRule[];
}

/**
 * A script as a model.
 *
 * @public
 */
export interface ScriptModel {
  readonly model: Model;
  readonly session: ScriptSession;
  /** What the ops before the first thread block did, run straight. */
  readonly prelude: readonly OpRecord[];
  /** What went wrong in them already: a device that can never go on, a driver that threw. */
  readonly problems: readonly Problem[];
}

/** Something that went wrong before the search began. */
export interface Problem {
  readonly verdict: Verdict;
  readonly about: string;
  readonly what: string;
}

/** Bits of a last-level table that holds real huge pages. */
const REAL_BITS = 9;
const SMALL_BITS = 3;

/**
 * Turns a script into a model: ops before the first thread block are run straight, the blocks at the same time, ops after the last
 * when all are through.
 */
export function scriptModel(script: Script, options: ScriptModelOptions = {}): ScriptModel {
  const { threads: more, coherence, invariants, rules, config, geometry, ...given } = options;
  const { statements, threads: names } = script;
  const first = statements.findIndex(({ thread }) => thread !== undefined);
  const last = statements.findLastIndex(({ thread }) => thread !== undefined);
  const session = new ScriptSession(script, {
    ...given,
    listen: false,
    snapshots: false,
    geometry: geometry ?? geometryFor(script),
    config: { cpus: Math.max(1, names.length), faultAroundPages: 1, readAheadPages: 1, hugetlbPages: 4, ...config },
  });
  const prelude = statements.slice(0, Math.max(0, first)).map((statement) => session.run(statement));
  const threadOf = (name: string, cpu: number, own: readonly Statement[], afterOthers: boolean): MachineThread => ({
    name,
    afterOthers,
    operations: own.map((statement) => operationOf(session, statement, cpu)),
  });
  // A script without blocks is one thread beside the hardware.
  const threads =
    first < 0
      ? [threadOf("main", 0, statements, false)]
      : names.map((name, cpu) =>
          threadOf(
            name,
            cpu,
            statements.filter(({ thread }) => thread === name),
            false,
          ),
        );
  threads.push(...(more?.(session) ?? []));
  const after = first < 0 ? [] : statements.slice(last + 1);
  if (after.length > 0) threads.push(threadOf("afterwards", 0, after, true));
  const model = machineModel({
    name: script.name,
    machine: session.machine,
    threads,
    ...(coherence === undefined ? {} : { coherence }),
    ...(invariants === undefined ? {} : { invariants }),
    ...(rules === undefined ? {} : { rules: rules(session) }),
  });
  return { model, session, prelude, problems: problemsOf(session, prelude) };
}

function problemsOf({ machine }: ScriptSession, prelude: readonly OpRecord[]): readonly Problem[] {
  const stuck = prelude.flatMap(({ op, livelock }): Problem[] =>
    livelock === undefined
      ? []
      : [
          {
            verdict: "LIVELOCK",
            about: op,
            what: `before the threads begin: ${livelock.cycle.length} steps repeat for ever`,
          },
        ],
  );
  const thrown = machine.driverErrors.map(({ details, message }): Problem => ({
    verdict: "ERROR",
    about: String(details["driver"]),
    what: `before the threads begin: ${message}`,
  }));
  return [...stuck, ...thrown];
}

function operationOf(session: ScriptSession, statement: Statement, cpu: number): Operation {
  const accesses = session.accessesOf(statement);
  if (accesses === undefined) return operation(statement.text, () => session.path(statement, cpu));
  const device = accesses[0]?.device;
  return device === undefined
    ? cpuAccesses(session.machine, { cpu, mm: session.mm }, statement.text, accesses)
    : deviceAccesses(device, session.process, statement.text, accesses);
}

/** The smallest page tables that the script fits into: two levels, or real ones for scripts that may mean huge pages of 512. */
function geometryFor({ arena, statements }: Script): Geometry {
  const huge = statements.some(({ op }) => isHuge(op));
  const bits = huge ? REAL_BITS : SMALL_BITS;
  const blocks = Math.ceil((arena + SLACK_PAGES) / 2 ** bits);
  return { bits: [bits, Math.max(1, Math.ceil(Math.log2(blocks)))], first: ARENA_PAGE };
}

function isHuge(op: Statement["op"]): boolean {
  if (op.kind === "map")
    return op.backing.kind === "huge" || (op.backing.kind === "file" && op.backing.name.startsWith("h"));
  return op.kind === "khuge" || (op.kind === "advise" && (op.advice === 14 || op.advice === 25));
}
