import {
  type AccessRequest,
  defineSecondaryMmu,
  F_PERMISSION,
  F_TRANSLATION,
  FAULT_ABORT,
  FAULT_RETRY,
  InFlight,
  LEAF_READ,
  LEAF_WRITE,
  leafAllows,
  packLeaf,
  PAGE_SIZE,
  type Path,
  type SecondaryMmuDefinition,
  ShadowTable,
  SPTE_PRESENT,
  SPTE_WRITABLE,
  GUP_WRITABLE,
  mutexLock,
  mutexUnlock,
  pageRange,
  spinUntil,
  step,
} from "@mmu-notifier/sdk";
import type { MmuNotifierRange } from "@mmu-notifier/bus";
import { lockAt, lockClass } from "@mmu-notifier/steps";

/** What a driver with an interval notifier does differently. */
export interface MirrorRules {
  /** Ask mmu_interval_read_retry() before an entry is installed. @defaultValue true */
  readonly readRetry?: boolean;
  /** Call mmu_interval_set_seq() always, or only when the range has entries. @defaultValue `always` */
  readonly setsSeq?: "always" | "when-mapped";
  /** Ranges that it lets pass altogether. May look at event and owner only. */
  readonly ignores?: (range: MmuNotifierRange) => boolean;
}

const PAGES = 8;
const TAG = 0;
const USER_LOCK = lockClass("user_lock", "mutex");

/** The loop of HMM's users over pages 0 to 7: read_begin, look up, read_retry, install. {@link connect} joins the tree. */
export interface Mirror {
  insert(): Path<number>;
  readonly count: () => number;
}

/** A driver that mirrors part of an address space with an interval notifier. `made` is given what the scene needs of it. */
export function mirror(rules: MirrorRules, made: (mirror: Mirror) => void): SecondaryMmuDefinition {
  const { readRetry = true, setsSeq = "always", ignores } = rules;
  return defineSecondaryMmu({
    name: "mirror",
    sdk: 1,
    summary: "a table of its own kept true by an interval notifier",
    declares: {
      pageTable: "mirror",
      onMissingRight: "fault",
      resolvesFaultsInSoftware: true,
      reachedByBroadcast: [],
      filters: [],
    },
    create(context) {
      const { faults, intervals, memory } = context;
      const table = new ShadowTable(context);
      const inFlight = new InFlight(memory, "mirror");
      const words = memory.words("mirror", 2);
      const lock = lockAt(USER_LOCK, words.segment, words.base);
      const interval = intervals.create({
        name: context.name,
        userLock: () => lock,
        *invalidate(which, range, curSeq) {
          if (ignores?.(range) === true) return true;
          const { start, end } = pageRange(range);
          yield mutexLock(lock);
          const mapped = yield step("anything mapped?", () => (table.entries().length > 0 ? 1 : 0));
          if (setsSeq === "always" || mapped !== 0) yield* intervals.setSeq(which, curSeq);
          if (mapped !== 0) {
            yield step(`zap pages ${start} to ${end - 1}`, () => {
              inFlight.cover(TAG, start, end);
              return table.zap(start, end);
            });
            yield spinUntil("device is quiet", () => inFlight.drained);
          }
          yield mutexUnlock(lock);
          return true;
        },
      });
      made({
        insert: () => intervals.insert(interval, 0, PAGES * PAGE_SIZE),
        count: () => table.entries().length,
      });
      return {
        translation: {
          *translate(request: AccessRequest) {
            const { vpn, write } = request;
            const found = yield step("walk of the mirror", () => {
              const spte = table.get(vpn);
              if ((spte & SPTE_PRESENT) === 0) return F_TRANSLATION;
              const rights = LEAF_READ | ((spte & SPTE_WRITABLE) === 0 ? 0 : LEAF_WRITE);
              const leaf = packLeaf(ShadowTable.pfn(spte), 0, rights);
              return leafAllows(leaf, write) ? inFlight.use(TAG, vpn) * 2 ** 32 + leaf : F_PERMISSION;
            });
            if (found <= 0) return found;
            request.hold(inFlight, Math.floor(found / 2 ** 32));
            return found % 2 ** 32;
          },
        },
        connection: { unsubscribe: () => undefined },
        fault: {
          name: "hmm_range_fault",
          *handle({ vpn, write }) {
            const seq = yield* intervals.readBegin(interval);
            const found = yield* faults.getUserPages(vpn, { write });
            if (found < 0) return FAULT_ABORT;
            yield mutexLock(lock);
            const stale = readRetry ? yield* intervals.readRetry(interval, seq) : 0;
            if (stale === 0)
              yield step(`install page ${vpn}`, () =>
                table.install(vpn, Math.floor(found / 2), {
                  hostWritable: write || (found & GUP_WRITABLE) !== 0,
                  write,
                }),
              );
            yield mutexUnlock(lock);
            return FAULT_RETRY;
          },
        },
        *unbind() {
          yield* intervals.remove(interval);
        },
        entries: () =>
          table.entries().map(({ gfn, spte }) => ({
            where: "mirror",
            vpn: gfn,
            pages: 1,
            pfn: ShadowTable.pfn(spte),
            read: true,
            write: (spte & SPTE_WRITABLE) !== 0,
          })),
      };
    },
  });
}
