import type { Command } from "commander";
import type { Context } from "../context.js";

/** What a command's module exports: it fills in a commander command whose action resolves to an exit code. */
interface CommandModule {
  readonly configure: (command: Command, context: Context, done: (exitCode: number) => void) => void;
}

/** One command; its module is loaded only when it is asked for. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
}

/** All commands in the order help lists them. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "story",
    summary: "what the patch cures, what it misses and what it costs; the default",
    load: () => import("./story.js"),
  },
  {
    name: "run",
    summary: "run a script and show what the kernel, the notifiers and the devices did",
    load: () => import("./run.js"),
  },
  {
    name: "check",
    summary: "take every interleaving of a script's threads, and show the shortest that goes wrong",
    load: () => import("./check.js"),
  },
  {
    name: "conform",
    summary: "run what was recorded on real kernels on the model, and compare field by field",
    load: () => import("./conform.js"),
  },
  {
    name: "oracle",
    summary: "run scripts on this machine's own kernel and on the model, and compare field by field",
    load: () => import("./oracle.js"),
  },
  {
    name: "verdicts",
    summary: "what becomes of a driver on every kernel when a page becomes writable",
    load: () => import("./verdicts.js"),
  },
  {
    name: "replay",
    summary: "replay a recorded program and show what its notifications cost each driver",
    load: () => import("./replay.js"),
  },
  {
    name: "museum",
    summary: "put the bugs of the past to the checker, each with the mistake and without it",
    load: () => import("./museum.js"),
  },
  {
    name: "litmus",
    summary: "run virtual-memory litmus tests and compare with what Arm's model allows",
    load: () => import("./litmus.js"),
  },
  {
    name: "doctor",
    summary: "say what is wrong with the installed drivers, the sdk and Node",
    load: () => import("./doctor.js"),
  },
  {
    name: "list",
    summary: "list drivers, kernels, architectures or the ops of the script language",
    load: () => import("./list.js"),
  },
];
