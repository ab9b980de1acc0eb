import { decodeSignal, type Thread, userAccessOnce, USER_ACCESS_RETRY } from "@mmu-notifier/core";
import type { AddressSpace, Device, Machine } from "@mmu-notifier/machine";
import type { Path } from "@mmu-notifier/steps";
import type { UseWatcher } from "@mmu-notifier/sdk";
import type { WatchedPage } from "./watch/watched-pages.js";

/** What an attempt came to: it is made again, the operation's next part follows, or the operation ends here. */
export const AGAIN = 0;
export const THROUGH = 1;
export const STOPS = 2;

/** Makes the watcher of a device's accesses in an address space. */
export type Watch = (device: string, mm: number) => UseWatcher;

/**
 * One thing that a thread does: a system call, or accesses that are tried until they are through.
 *
 * @public
 */
export interface Operation {
  /** As a script writes it; the counterexample shows it. */
  readonly text: string;
  /** Parts done one after another. @defaultValue 1 */
  readonly parts?: number;
  /**
   * One attempt at a part: {@link AGAIN}, {@link THROUGH} or {@link STOPS}. What happens in it may depend on nothing but the
   * results of its own steps, and an attempt that is made again remembers nothing of the one before.
   */
  readonly attempt: (part: number, watch: Watch) => Path<number>;
  /** It changes address spaces on behalf of a CPU: until it returns, translations may be out of date. @defaultValue false */
  readonly changes?: boolean;
  /** Pages that it accesses: they are followed from frame to frame. @defaultValue none */
  readonly pages?: readonly WatchedPage[];
}

/** A path that is run once: a system call, a daemon's round. */
export function operation(text: string, path: () => Path<unknown>): Operation {
  return {
    text,
    changes: true,
    *attempt() {
      yield* path();
      return THROUGH;
    },
  };
}

/** Loads or stores of a process, page after page, each until it is through; a signal ends them. */
export function cpuAccesses(
  machine: Machine,
  thread: Thread,
  text: string,
  pages: readonly { readonly vpn: number; readonly access: "read" | "write"; readonly value: number }[],
): Operation {
  return {
    text,
    parts: pages.length,
    pages: pages.map(({ vpn }) => ({ mm: thread.mm, vpn })),
    changes: true,
    *attempt(part) {
      const { vpn, access, value } = pages[part]!;
      const result = yield* userAccessOnce(machine.kernel, thread, vpn, access, value);
      if (result === USER_ACCESS_RETRY) return AGAIN;
      return decodeSignal(result) === undefined ? THROUGH : STOPS;
    },
  };
}

/** Accesses of a device, page after page, each until it is through; an abort ends them. */
export function deviceAccesses(
  device: Device,
  process: AddressSpace,
  text: string,
  pages: readonly { readonly vpn: number; readonly access: "read" | "write"; readonly value: number }[],
): Operation {
  return {
    text,
    parts: pages.length,
    pages: pages.map(({ vpn }) => ({ mm: process.mm, vpn })),
    *attempt(part, watch) {
      const { vpn, access, value } = pages[part]!;
      const outcome = device.outcome(
        yield* device.attempt(vpn, access, value, process, watch(device.name, process.mm)),
      );
      if (outcome.kind === "retry") return AGAIN;
      return outcome.kind === "abort" ? STOPS : THROUGH;
    },
  };
}
