import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { arch, platform, release } from "node:os";
import { gunzipSync } from "node:zlib";
import { delimiter, isAbsolute, join } from "node:path";
import { compiler } from "./build-interpreter.js";
import type { Missing } from "./errors.js";

/** PAGEMAP_SCAN, which tells huge entries and the zero page apart, came with Linux 6.7. */
const LEAST = [6, 7] as const;

/** The machine as far as the question goes whether the oracle can work; tests put other answers in. */
export interface Surroundings {
  readonly platform: string;
  readonly arch: string;
  readonly release: string;
  readonly uid: number;
  readonly env: NodeJS.ProcessEnv;
  /** Text of a file, or undefined when it cannot be read. */
  readonly read: (path: string) => string | undefined;
  /** A file can be read and written. */
  readonly usable: (path: string) => boolean;
  readonly exists: (path: string) => boolean;
  /** The device that a folder lies on, as `major:minor`. */
  readonly deviceOf: (folder: string) => string;
  /** What the kernel was configured with, or undefined when it does not say. */
  readonly kernelConfig: () => string | undefined;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** This machine. */
export function surroundings(): Surroundings {
  const read = (path: string): string | undefined => attempt(() => readFileSync(path, "utf8"));
  return {
    platform: platform(),
    arch: arch(),
    release: release(),
    uid: process.getuid?.() ?? -1,
    env: process.env,
    read,
    usable: (path) =>
      attempt(() => {
        accessSync(path, constants.R_OK | constants.W_OK);
        return true;
      }) ?? false,
    exists: existsSync,
    deviceOf: (folder) => {
      const device = attempt(() => statSync(folder).dev) ?? 0;
      // makedev(3): the low parts of both numbers are eight and twelve bits wide.
      return `${(device >>> 8) & 0xfff}:${(device & 0xff) | ((device >>> 12) & 0xfff00)}`;
    },
    kernelConfig: () =>
      attempt(() => gunzipSync(readFileSync("/proc/config.gz")).toString("utf8")) ?? read(`/boot/config-${release()}`),
  };
}

/** Major and minor number of a release such as `6.18.44-rc1`; zeros if it has none. */
export function versionOf(release: string): readonly [major: number, minor: number] {
  const match = /^(\d+)\.(\d+)/.exec(release);
  return match === null ? [0, 0] : [Number(match[1]), Number(match[2])];
}

/** Everything that the oracle needs and this machine lacks, each with what to do; empty when it can work. */
export function missingOracleParts(machine: Surroundings = surroundings()): readonly Missing[] {
  if (machine.platform !== "linux")
    return [{ what: "Linux", remedy: `this is ${machine.platform}; run it in a virtual machine with Linux` }];
  const missing: Missing[] = [];
  const need = (there: boolean, what: string, remedy: string): void => {
    if (!there) missing.push({ what, remedy });
  };
  const [major, minor] = versionOf(machine.release);
  need(
    major > LEAST[0] || (major === LEAST[0] && minor >= LEAST[1]),
    "Linux 6.7 or newer",
    `this is ${machine.release}; older kernels cannot say which entries are huge`,
  );
  need(
    machine.arch === "x64",
    "an x86-64 machine",
    `this is ${machine.arch}, which has no trace events for page faults`,
  );
  need(machine.uid === 0, "root", "run it with sudo");
  const cc = compiler(machine.env);
  need(onPath(cc, machine), `the C compiler ${cc}`, "install gcc or clang, or set CC");
  const filesystems = machine.read("/proc/filesystems") ?? "";
  need(/\ttracefs$/m.test(filesystems), "tracefs", "boot a kernel with CONFIG_FTRACE");
  need(
    machine.usable("/dev/kvm"),
    "/dev/kvm",
    machine.exists("/dev/kvm")
      ? "it may not be opened; run with sudo"
      : "load kvm_intel or kvm_amd, or give it to the container with --device /dev/kvm",
  );
  need(machine.exists("/proc/kpagecount"), "/proc/kpagecount", "boot a kernel with CONFIG_PROC_PAGE_MONITOR");
  return missing;
}

function onPath(command: string, { env, exists }: Surroundings): boolean {
  if (isAbsolute(command)) return exists(command);
  return (env["PATH"] ?? "").split(delimiter).some((folder) => exists(join(folder, command)));
}
