import type { Architecture, KernelConfig, KernelProfile } from "@mmu-notifier/core";
import type { PluginRegistry } from "@mmu-notifier/machine";
import type { AnySecondaryMmuDefinition } from "@mmu-notifier/sdk";
import type { DevicePolicy } from "./program/replay-devices.js";

/** How far a replay has come. */
export interface ReplayProgress {
  /** Bytes of the file read. */
  readonly bytesRead: number;
  /** Records or accesses replayed. */
  readonly replayed: number;
}

/** A driver by its name in the registry or as a definition, with options of its own. */
export type ReplayDrivers = readonly {
  readonly driver: string | AnySecondaryMmuDefinition;
  /**
   * Name of the device; needed when one driver is given twice.
   *
   * @defaultValue the driver's name
   */
  readonly name?: string;
  readonly options?: Readonly<Record<string, unknown>>;
}[];

/** How a trace is replayed. */
export interface ReplayOptions {
  /**
   * The kernel, by name or as a profile.
   *
   * @defaultValue `v6.18`, which the shipped traces were recorded on
   */
  readonly kernel?: string | KernelProfile;
  /**
   * The architecture.
   *
   * @defaultValue `x86-64`
   */
  readonly arch?: string | Architecture;
  /** What differs from the machine that the shipped traces were recorded on. */
  readonly config?: Partial<KernelConfig>;
  /** Where names are looked up. */
  readonly registry?: PluginRegistry;
  /**
   * The secondary MMUs to attach to every process that enters the trace with its mappings. Options named tlbSets and tlbWays
   * are 64 and 8 unless given.
   *
   * @defaultValue every driver of the registry
   */
  readonly drivers?: ReplayDrivers;
  /**
   * What the devices do.
   *
   * @defaultValue `follow`
   */
  readonly policy?: DevicePolicy;
  /**
   * Replays twice more, on the kernel that the patch is for and on the same with MMU_NOTIFY_PROTECTION_UPGRADE, to say what
   * the event adds. Program traces only.
   *
   * @defaultValue true
   */
  readonly upgradeEvent?: boolean;
  /** Counts instruction fetches of page traces as reads. */
  readonly instructions?: boolean;
  /** Called after every part of the file. */
  readonly onProgress?: (progress: ReplayProgress) => void;
}

/** The kernel and architecture of a replay that names none: those of the shipped traces. */
export const REPLAY_KERNEL = "v6.18";
export const REPLAY_ARCH = "x86-64";
