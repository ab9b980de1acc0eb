import type { PluginRegistry } from "@mmu-notifier/machine";
import { parseScripts } from "../parse.js";
import type { Happening } from "../run/record.js";
import { ScriptSession } from "../run/session.js";
import { scriptOf, type UpgradeScenario, type Variant } from "./scenarios.js";

/** What the device's write came to on one kernel. */
export interface Trial {
  readonly scenario: string;
  readonly driver: string;
  readonly kernel: string;
  readonly outcome: "written" | "livelock" | "aborted";
  /** Faults of the device until the write succeeded; with a livelock, those of one round and the first. */
  readonly faults: number;
  readonly commands: Readonly<Record<string, number>>;
  /**
   * Whether the driver heard of the new right: `delivered` through the event or the hook, `filtered` when it was sent and the driver did
   * not want it, `not sent` when the kernel told nobody.
   */
  readonly upgrade: "delivered" | "filtered" | "not sent";
  /** The kernel's call that carried it. */
  readonly through: "MMU_NOTIFY_PROTECTION_UPGRADE" | "invalidate_range" | "arch_invalidate_secondary_tlbs" | "none";
}

/**
 * Runs one scenario with one device on one kernel.
 *
 * @throws ScriptError, MachineError when the driver is not registered or refuses the binding
 */
export function runTrial(kernel: string, variant: Variant, scenario: UpgradeScenario, registry: PluginRegistry): Trial {
  const [script] = parseScripts(scriptOf(scenario, variant), { file: `${scenario.name}.mm` });
  const session = new ScriptSession(script!, {
    kernel,
    arch: variant.arch ?? "arm64",
    registry,
    detail: true,
    listen: false,
    snapshots: false,
  });
  try {
    const statements = script!.statements;
    for (const statement of statements.slice(0, -1)) session.run(statement);
    const device = session.devices.get("dev0")!;
    const { costs } = device;
    const before = { callbacks: costs.of("callbacks"), faults: costs.of("faults"), commands: device.report().commands };
    const { err, happened = [] } = session.run(statements.at(-1)!);
    const callbacks = costs.of("callbacks") - before.callbacks;
    const through = carrier(happened);
    return {
      scenario: scenario.name,
      driver: variant.title,
      kernel,
      outcome: err === undefined ? "written" : err === "LIVELOCK" ? "livelock" : "aborted",
      faults: costs.of("faults") - before.faults,
      commands: difference(device.report().commands, before.commands),
      upgrade: callbacks > 0 ? "delivered" : through === "none" ? "not sent" : "filtered",
      through,
    };
  } finally {
    session.close();
  }
}

function carrier(happened: readonly Happening[]): Trial["through"] {
  const calls = happened.filter((h) => h.kind === "notify");
  if (calls.some(({ event }) => event === "MMU_NOTIFY_PROTECTION_UPGRADE")) return "MMU_NOTIFY_PROTECTION_UPGRADE";
  const hook = calls.find(({ call }) => call === "invalidate_range" || call === "arch_invalidate_secondary_tlbs");
  return hook === undefined ? "none" : (hook.call as "invalidate_range" | "arch_invalidate_secondary_tlbs");
}

function difference(
  after: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
): Record<string, number> {
  const spent = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(spent.filter(([, count]) => count > 0));
}
