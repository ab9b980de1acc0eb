import { type Device, PluginRegistry } from "@mmu-notifier/machine";
import { type OpRecord, parseScripts, ScriptSession, type Trial } from "@mmu-notifier/script";
import type { AnySecondaryMmuDefinition } from "@mmu-notifier/sdk";
import { onTestFinished } from "vitest";

/** Where {@link runOps} runs. */
export interface RunOpsOptions {
  /** @defaultValue v6.12 */
  readonly kernel?: string;
  /** @defaultValue arm64 */
  readonly arch?: string;
  /** Options of the driver as a script writes them: `ats entries=64`. */
  readonly options?: string;
}

/** A machine after a script, until the test ends. */
export interface ScriptRun {
  readonly session: ScriptSession;
  /** The device `dev0`. */
  readonly device: Device;
  /** What each op came to, with what happened inside. */
  readonly records: readonly OpRecord[];
  readonly last: OpRecord;
  /** Runs more ops on the same machine; they cannot declare devices. */
  readonly more: (ops: string) => readonly OpRecord[];
}

/**
 * Runs ops of a script on a machine with one device `dev0`, inside a test of Vitest: the machine is closed when the test ends.
 *
 * @param ops lines of a script, or ops with `; ` between them
 * @throws ScriptError for an op that cannot be read or run, MachineError for a kernel or an architecture that is not known, and what the
 *   driver throws
 * @public
 */
export function runOps(
  driver: AnySecondaryMmuDefinition,
  ops: string,
  { kernel = "v6.12", arch = "arm64", options = "" }: RunOpsOptions = {},
): ScriptRun {
  const registry = PluginRegistry.withCore().add(driver, driver.name);
  const [script] = parseScripts(`device dev0 driver ${driver.name} ${options}\n${linesOf(ops)}\n`);
  const session = new ScriptSession(script!, { registry, kernel, arch, snapshots: false, detail: true });
  onTestFinished(() => session.close());
  const records = script!.statements.map((statement) => session.run(statement));
  const more = (text: string): readonly OpRecord[] =>
    parseScripts(`${linesOf(text)}\n`)[0]!.statements.map((statement) => session.run(statement));
  return { session, device: session.devices.get("dev0")!, records, last: records.at(-1)!, more };
}

const linesOf = (ops: string): string => ops.replaceAll("; ", "\n");

/**
 * The kernels and scenarios in which a device went round for ever, as `v6.4 fork-exit`.
 *
 * @public
 */
export function stuckTrials(trials: readonly Trial[]): readonly string[] {
  return trials.filter(({ outcome }) => outcome === "livelock").map(({ kernel, scenario }) => `${kernel} ${scenario}`);
}
