import type { MachineOptions, PluginRegistry } from "@mmu-notifier/machine";
import type { DaxDevice } from "./backing-files.js";

/** How a script is run. */
export interface SessionOptions {
  /** A kernel that wins over the script's own. */
  readonly kernel?: MachineOptions["kernel"];
  readonly arch?: MachineOptions["arch"];
  readonly config?: MachineOptions["config"];
  readonly geometry?: MachineOptions["geometry"];
  /** Where kernels, architectures and drivers are looked up. */
  readonly registry?: PluginRegistry;
  /**
   * The process has a notifier of its own from the start, which only listens.
   *
   * @defaultValue true
   */
  readonly listen?: boolean;
  /**
   * A script that never opens a userfaultfd gets one with its first registration. Otherwise it has none, and the calls are EBADF.
   *
   * @defaultValue true
   */
  readonly uffdAtRegister?: boolean;
  /**
   * The machine's device with DAX to make files on; without one, making such a file is ENOENT. How the file system lays blocks of
   * large files out decides whether huge entries can map them.
   *
   * @defaultValue "aligned"
   */
  readonly dax?: DaxDevice;
  /**
   * Records carry what happened in detail.
   *
   * @defaultValue false
   */
  readonly detail?: boolean;
  /**
   * Records carry VMAs and pages.
   *
   * @defaultValue true
   */
  readonly snapshots?: boolean;
}
