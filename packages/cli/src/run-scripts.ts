import { withinTime } from "@mmu-notifier/checker";
import type { PluginRegistry } from "@mmu-notifier/machine";
import type { CostReport } from "@mmu-notifier/sdk";
import { type OpRecord, parseScripts, type Script, type ScriptSession, type Statement } from "@mmu-notifier/script";
import { didYouMean } from "@mmu-notifier/steps";
import { type BrokenRule, brokenRuleOf } from "./broken-rule.js";
import type { Context } from "./context.js";
import { WatchedSession } from "./endless-op.js";
import { UsageError } from "./errors.js";
import { progress } from "./output/progress.js";
import { readScriptFile } from "./read-script-file.js";
import { addPlugins, resolveDriver, shippedRegistry } from "./registry.js";

/** How scripts are run from the command line. */
export interface RunOptions {
  readonly kernel?: string;
  readonly arch?: string;
  /** `[DEVICE=]NAME[:key=value,…]`. */
  readonly driver: readonly string[];
  readonly plugin?: readonly string[];
  readonly script?: string;
  readonly json?: boolean;
  readonly pages?: boolean;
  readonly stepTime: string;
}

/** What `--step-time` is unless somebody says otherwise. */
export const STEP_TIME = "5";

/** Milliseconds that a single step may take before it counts as endless. */
export function stepTimeOf({ stepTime }: { readonly stepTime: string }): number {
  const seconds = Number(stepTime);
  if (stepTime.trim() !== "" && Number.isFinite(seconds) && seconds >= 0.001 && seconds <= 86_400)
    return Math.ceil(seconds * 1000);
  throw new UsageError(`--step-time ${stepTime}: expected seconds, 0.001 to 86400`, { stepTime });
}

/** A device of a run with what it cost. */
interface DeviceRun {
  readonly name: string;
  readonly driver: string;
  readonly origin: string;
  /** What its binding does with MMU_NOTIFY_PROTECTION_UPGRADE. */
  readonly upgrade: "filter" | "deliver";
  readonly costs: CostReport;
}

/** What a script came to. */
export interface ScriptRun {
  readonly script: Script;
  readonly kernel: string;
  readonly arch: string;
  readonly records: readonly OpRecord[];
  readonly devices: readonly DeviceRun[];
  /** The kernel's rule that the last op broke; the ops after it were not run. */
  readonly broken?: BrokenRule;
  /** What invariants of plugins found broken, each once, with the op after which it was. */
  readonly violations: readonly string[];
  /** What drivers did against what they declare or the kernel allows. */
  readonly breaches: readonly string[];
  /** What code of drivers threw. */
  readonly errors: readonly string[];
}

/** `[DEVICE=]NAME[:key=value,…]` as somebody types it. */
export function parseDriver(
  text: string,
): Pick<Script["devices"][number], "driver" | "options"> & { readonly device: string | undefined } {
  const match = /^(?:([\w.-]+)=)?([^:]+)(?::(.*))?$/.exec(text);
  if (match === null)
    throw new UsageError(`--driver ${text}: expected NAME, NAME:key=value,… or DEVICE=NAME:key=value,…`, {
      driver: text,
    });
  const [, device, driver, rest] = match;
  const options: Record<string, string | number | boolean> = {};
  for (const part of rest === undefined || rest === "" ? [] : rest.split(",")) {
    const [key, value] = part.split(/=(.*)/s, 2) as [string, string | undefined];
    if (key === "")
      throw new UsageError(`--driver ${text}: expected key=value after the colon, found ${JSON.stringify(part)}`, {
        driver: text,
      });
    options[key] =
      value === undefined || value === "true"
        ? true
        : value === "false"
          ? false
          : /^\d+$/.test(value)
            ? Number(value)
            : value;
  }
  return { device, driver: driver!, options };
}

/** Gives a script's devices the drivers from the command line; a script without a device gets one named `dev0`. */
function withDrivers(script: Script, drivers: readonly ReturnType<typeof parseDriver>[]): Script {
  let { devices } = script;
  const names = devices.map(({ name }) => name);
  if (names.length > 0 && drivers.length > 1 && drivers.some(({ device }) => device === undefined))
    throw new UsageError(
      `${drivers.length} drivers for the script's devices: say which is whose, as in --driver ${names[0]!}=${drivers[0]!.driver}. It has ${names.join(", ")}; another name is one more device`,
    );
  for (const { device, driver, options } of drivers) {
    if (device !== undefined && devices.some(({ name }) => name === device)) {
      devices = devices.map((line) => (line.name === device ? { ...line, driver, options } : line));
    } else if (device === undefined && devices.length > 0 && drivers.length === 1)
      devices = devices.map((line) => ({ ...line, driver, options }));
    else devices = [...devices, { name: device ?? `dev${devices.length}`, driver, options, position: script.position }];
  }
  return { ...script, devices };
}

function chosen(scripts: readonly Script[], file: string, name: string | undefined): readonly Script[] {
  if (scripts.length === 0)
    throw new UsageError(`${file} holds no op. A script is one op a line; \`mmun list ops\` lists them`, { file });
  if (name === undefined) return scripts;
  const found = scripts.filter((script) => script.name === name);
  if (found.length > 0) return found;
  const names = scripts.map((script) => script.name);
  throw new UsageError(
    `${file} has no script ${JSON.stringify(name)}.${didYouMean(name, names)} It has ${names.slice(0, 20).join(", ")}${names.length > 20 ? ", …" : ""}`,
    { file, name },
  );
}

/** Reads a file of scripts, with the drivers from the command line loaded. */
export async function loadScripts(
  file: string,
  { script: name, driver }: Pick<RunOptions, "script" | "driver">,
  registry: PluginRegistry,
): Promise<readonly Script[]> {
  const drivers = driver.map(parseDriver);
  const scripts = chosen(parseScripts(readScriptFile(file), { file: file === "-" ? "stdin" : file }), file, name);
  const loaded: Script[] = [];
  for (const written of scripts) {
    const named = withDrivers(written, drivers);
    const devices = [];
    for (const device of named.devices)
      devices.push({ ...device, driver: await resolveDriver(registry, device.driver, process.cwd()) });
    loaded.push({ ...named, devices });
  }
  return loaded;
}

/**
 * Runs the scripts of a file, each on a machine of its own.
 *
 * @throws UsageError, ScriptError, MachineError
 */
export async function runScripts(file: string, options: RunOptions, context: Context): Promise<readonly ScriptRun[]> {
  const registry = await shippedRegistry();
  await addPlugins(registry, options.plugin ?? [], process.cwd());
  const scripts = await loadScripts(file, options, registry);
  const bar = progress(context, scripts.length, options.json !== true);
  const runs: ScriptRun[] = [];
  const time = stepTimeOf(options);
  for (const script of scripts) {
    const watched = new WatchedSession(
      script,
      {
        registry,
        detail: true,
        snapshots: options.json === true || options.pages === true,
        ...(options.kernel === undefined ? {} : { kernel: options.kernel }),
        ...(options.arch === undefined ? {} : { arch: options.arch }),
      },
      time,
    );
    try {
      const done = runOps(script, watched, time);
      const { session } = watched;
      const { kernel } = session.machine;
      runs.push({
        script,
        kernel: kernel.profile.name,
        arch: kernel.arch.name,
        ...done,
        devices: [...session.devices.values()].map((device) => ({
          name: device.name,
          driver: device.definition.name,
          origin: device.origin,
          upgrade: device.decision().protectionUpgrade,
          costs: device.report(),
        })),
        breaches: session.machine.driverBreaches.map(({ message }) => message),
        errors: session.machine.driverErrors.map(({ message }) => message),
      });
    } finally {
      watched.session.close();
    }
    bar.step();
  }
  bar.stop();
  return runs;
}

/** Runs the ops until one breaks a rule of the kernel: a machine whose locks are in disorder says nothing true about the rest. */
function runOps(
  script: Script,
  watched: WatchedSession,
  time: number,
): Pick<ScriptRun, "records" | "broken" | "violations"> {
  const records: OpRecord[] = [];
  const violations = new Map<string, string>();
  const ended = (last: Statement): Pick<ScriptRun, "records" | "violations"> => ({
    records: [...records, watched.session.interrupted(last)],
    violations: [...violations.values()],
  });
  for (const statement of script.statements) {
    try {
      const record = watched.run(statement);
      if ("endless" in record) return { ...ended(statement), broken: record.endless };
      records.push(record);
      look(watched.session, statement.text, violations, time);
    } catch (error) {
      const broken = brokenRuleOf(error);
      if (broken === undefined) throw error;
      return { ...ended(statement), broken };
    }
  }
  return { records, violations: [...violations.values()] };
}

/** Asks every invariant; one that throws is a violation of its own package's. Each is told of once. */
function look(session: ScriptSession, op: string, violations: Map<string, string>, time: number): void {
  for (const { name, origin, plugin } of session.machine.registry.list("invariant")) {
    if (violations.has(name)) continue;
    let found: string | undefined;
    try {
      const looked = (): void => {
        found = plugin.invariant.check(session.machine);
      };
      if (!withinTime(looked, time)) found = `its check did not end within ${time} ms. Repair ${origin}`;
    } catch (error) {
      found = `its check threw: ${error instanceof Error ? error.message : String(error)}. Repair ${origin}`;
    }
    if (found !== undefined) violations.set(name, `invariant ${name} (${origin}), after ${op}: ${found}`);
  }
}
