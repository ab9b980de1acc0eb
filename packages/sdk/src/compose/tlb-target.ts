import type { Atc } from "../hardware/atc.js";
import type { CommandTarget } from "../hardware/command-queue.js";
import { type Command, OPCODES } from "../hardware/commands.js";
import type { Iotlb } from "../hardware/iotlb.js";

/** The caches that a command queue empties. */
export interface TlbParts {
  /** Levels of the IOTLB; a TLBI reaches all of them. */
  readonly iotlbs?: readonly Iotlb[];
  /** The devices' caches, by stream and substream; may be a list that grows as address spaces are bound. */
  readonly atcs?: readonly Atc[];
  /** A device did not answer its invalidate request: `() => queue.atcTimedOut()`. */
  readonly timedOut?: () => void;
  /** Any other command: CMD_RESUME, CMD_CFGI_CD. */
  readonly other?: (command: Command) => void;
}

/**
 * What executes invalidation commands on these caches: TLBI by VA, ASID and all on the IOTLBs, ATC_INV on the device caches that
 * its stream and substream name. A barrier completes when no access uses what was dropped.
 */
export function tlbTarget({ iotlbs = [], atcs = [], timedOut, other }: TlbParts): CommandTarget {
  return {
    execute(command) {
      const { opcode, id, start, pages, arg } = command;
      switch (opcode) {
        case OPCODES.CMD_TLBI_NH_ASID:
          for (const iotlb of iotlbs) iotlb.invalidateASID(id);
          break;
        case OPCODES.CMD_TLBI_NH_VA:
          for (const iotlb of iotlbs) iotlb.invalidateRange(id, start, start + pages, arg === 1);
          break;
        case OPCODES.CMD_TLBI_NH_ALL:
        case OPCODES.CMD_TLBI_NSNH_ALL:
          for (const iotlb of iotlbs) iotlb.invalidateAll();
          break;
        case OPCODES.CMD_ATC_INV:
          for (const atc of atcs) {
            if (atc.sid === id && atc.ssid === arg && atc.invalidate(start, start + pages) < 0) timedOut?.();
          }
          break;
        default:
          other?.(command);
      }
    },
    unanswered: () => atcs.some((atc) => atc.unanswered),
    drained: () => iotlbs.every((iotlb) => iotlb.drained) && atcs.every((atc) => atc.drained),
  };
}
