import { type Device, PluginRegistry } from "@mmu-notifier/machine";
import type { AnySecondaryMmuDefinition } from "@mmu-notifier/sdk";
import { ARENA_PAGE, type DeviceOption, type OpRecord, parseScripts, ScriptSession } from "@mmu-notifier/script";

/** Name of the device in every script of the suite. */
const DEVICE = "dev0";

/** A driver with its options on one kernel and architecture: what a test looks at. */
export interface Subject {
  readonly driver: AnySecondaryMmuDefinition;
  readonly options: Readonly<Record<string, unknown>>;
  readonly kernel: string;
  readonly arch: string;
}

/** A machine with the subject's device on a process, driven by lines of the script language. */
export class Bench {
  readonly session: ScriptSession;
  readonly device: Device;
  #records: OpRecord[] = [];

  /** @param lines all ops that {@link run} will take, in order */
  constructor(subject: Subject, lines: readonly string[]) {
    const { driver, options, kernel, arch } = subject;
    const header = `device ${DEVICE} driver ${driver.name}\n== suite arena 1024\n`;
    const [script] = parseScripts(`${header}${lines.join("\n")}\n`, { file: "suite.mm" });
    this.session = new ScriptSession(
      { ...script!, devices: [{ ...script!.devices[0]!, options: typedOptions(options) }] },
      {
        kernel,
        arch,
        registry: PluginRegistry.withCore().add(driver, "secondaryMmuSuite({ driver })"),
        listen: false,
        snapshots: false,
      },
    );
    this.device = this.session.devices.get(DEVICE)!;
  }

  get machine(): ScriptSession["machine"] {
    return this.session.machine;
  }

  get mm(): number {
    return this.session.process.mm;
  }

  /** Runs the next `count` lines and returns the record of the last. */
  run(count = 1): OpRecord {
    for (let i = 0; i < count; i++)
      this.#records.push(this.session.run(this.session.script.statements[this.#records.length]!));
    return this.#records.at(-1)!;
  }

  /** Runs what is left; all records so far. */
  finish(): readonly OpRecord[] {
    this.run(this.session.script.statements.length - this.#records.length);
    return this.#records;
  }

  /** Pages from the arena's base that the device holds a translation of, with what it allows. */
  held(): readonly string[] {
    return this.device
      .entries(this.session.process)
      .flatMap(({ vpn, pages, write }) =>
        Array.from({ length: pages }, (_, i) => `${vpn + i - ARENA_PAGE}${write ? "w" : "r"}`),
      );
  }

  /** True when the device holds a translation of a page that permits `access`. */
  holds(page: number, access: "read" | "write" = "read"): boolean {
    return this.device.entries(this.session.process).some(({ vpn, pages, read, write }) => {
      const within = vpn <= ARENA_PAGE + page && ARENA_PAGE + page < vpn + pages;
      return within && (access === "write" ? write : read);
    });
  }

  close(): void {
    this.session.close();
  }
}

/** Runs a test on a bench that is closed afterwards. */
export function onBench<R>(subject: Subject, lines: readonly string[], test: (bench: Bench) => R): R {
  const bench = new Bench(subject, lines);
  try {
    return test(bench);
  } finally {
    bench.close();
  }
}

/** Options as a script's device line has them: a list is its words with commas. */
export function typedOptions(options: Readonly<Record<string, unknown>>): Record<string, DeviceOption> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(",") : (value as DeviceOption),
    ]),
  );
}
