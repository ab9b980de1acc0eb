import {
  checkDeclaration,
  deviceAccess,
  type DeviceEvent,
  hostFacts,
  MEMSLOT_LOG_DIRTY,
  type MmuNotifyEvent,
  PAGE_SIZE,
  READ_ONLY,
  READ_WRITE,
  SPTE_WRITABLE,
  Workbench,
  WRITABLE_CLEAN,
} from "@mmu-notifier/sdk";
import { describe, expect, it } from "vitest";
import kvm, { type KvmBinding, type KvmOptions } from "../src/index.js";

const SLOT = { gfn: 100, vpn: 0, pages: 8 };

function setUp(options: Partial<KvmOptions> = {}, profile = "v6.4+upgrade-event") {
  const bench = new Workbench({ profile, geometry: "four-level" });
  const device = bench.device(kvm, { memslots: [SLOT], ...options });
  const bound = device.bind(bench.mm);
  const events: DeviceEvent[] = [];
  device.events.stream.subscribe((event) => events.push(event));
  const binding = bound.binding as KvmBinding;
  const errors = () => events.flatMap((event) => (event.kind === "error" ? [event.code] : []));
  const spte = (vpn: number) => binding.vm.shadow.get(SLOT.gfn + vpn);
  const range = (event: MmuNotifyEvent, vpn: number, pages = 1) => ({
    mm: bench.mm,
    start: vpn * PAGE_SIZE,
    end: (vpn + pages) * PAGE_SIZE,
    event,
  });
  return { bench, device, bound, binding, counters: binding.vm.counters, errors, spte, range };
}

describe("kvm, rule by rule", () => {
  it("C1: has start, end, the three aging callbacks and release, and no event-less hook", () => {
    const { bench, bound, spte } = setUp();
    bench.map(3, READ_WRITE);
    bench.access(bound, 3, "read");

    bench.run(bench.k.bus.invalidateRange(bench.mm, 0, 8 * PAGE_SIZE));
    expect(spte(3)).not.toBe(0);
    expect(bench.run(bench.k.bus.testYoung(bench.mm, 3 * PAGE_SIZE))).toBe(1);
    expect(bench.run(bench.k.bus.clearYoung(bench.mm, 0, 8 * PAGE_SIZE))).toBe(1);
    bench.run(bench.k.bus.release(bench.mm));

    expect(spte(3)).toBe(0);
  });

  it("C2: start counts, widens the hull, zaps before it returns, and flushes because something was zapped", () => {
    const { bench, device, bound, counters, spte, range } = setUp();
    bench.map(3, READ_WRITE);
    bench.access(bound, 3, "write", 1);

    bench.run(bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_CLEAR", 3)));

    expect([counters.mnActive, counters.inProgress, counters.seq]).toEqual([1, 1, 0]);
    expect(counters.retry(0, 103)).toBe(true);
    expect(counters.retry(0, 104)).toBe(false);
    expect(spte(3)).toBe(0);
    expect(bound.binding.entries()).toEqual([]);
    expect(device.costs.report()).toMatchObject({ zaps: 1, remoteFlushes: 1, ipis: 2 });
  });

  it("C2: the hull covers all invalidations under way and only shrinks when none is left", () => {
    const { bench, counters, range } = setUp();
    const low = range("MMU_NOTIFY_CLEAR", 1);
    const high = range("MMU_NOTIFY_CLEAR", 6);
    bench.run(bench.k.bus.invalidateRangeStart(low));
    bench.run(bench.k.bus.invalidateRangeStart(high));

    bench.run(bench.k.bus.invalidateRangeEnd(low));
    expect(counters.retry(counters.seq, 103)).toBe(true);
    bench.run(bench.k.bus.invalidateRangeEnd(high));

    expect(counters.retry(counters.seq, 103)).toBe(false);
  });

  it("C3: end moves the sequence, takes the counts back and wakes memslot updates", () => {
    const { bench, binding, counters, range } = setUp();
    const unmapped = range("MMU_NOTIFY_UNMAP", 3);
    bench.run(bench.k.bus.invalidateRangeStart(unmapped));
    const update = bench.actor("ioctl", binding.addMemslot({ gfn: 200, vpn: 8, pages: 2 }));
    update.step();
    expect(update.blocked).toBe(true);

    bench.run(bench.k.bus.invalidateRangeEnd(unmapped));

    expect([counters.mnActive, counters.inProgress, counters.seq]).toEqual([0, 0, 1]);
    expect(update.finish()).toBe(2);
  });

  it("C4: a range without a memslot takes no lock and raises no count but the one that freezes memslots, in start and in end", () => {
    const { bench, counters, range } = setUp();
    const outside = range("MMU_NOTIFY_UNMAP", 20);

    bench.run(bench.k.bus.invalidateRangeStart(outside));
    expect([counters.mnActive, counters.inProgress]).toEqual([1, 0]);
    bench.run(bench.k.bus.invalidateRangeEnd(outside));

    expect([counters.mnActive, counters.inProgress, counters.seq]).toEqual([0, 0, 0]);
  });

  it("C5: X5: what was looked up before an invalidation is not installed after it", () => {
    const { bench, device, bound, counters, spte, range } = setUp();
    const old = bench.map(3, READ_WRITE);
    const guest = bench.actor("vcpu", deviceAccess(bound, 3, "write", 7)).until("spin_lock(mmu_lock)");

    bench.run(bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_CLEAR", 3)));
    bench.map(3, READ_WRITE);
    bench.run(bench.k.bus.invalidateRangeEnd(range("MMU_NOTIFY_CLEAR", 3)));
    guest.until("spin_unlock");

    expect(spte(3)).toBe(0);
    expect(guest.finish()).toBe(7);
    expect(counters.seq).toBe(1);
    expect(bench.k.pages.content(old)).toBe(0);
    expect(device.costs.of("faults")).toBe(2);
  });

  it("C5: X5 without the second check maps a frame that is gone", () => {
    const { bench, bound, range } = setUp({ retryCheck: false });
    const old = bench.map(3, READ_WRITE);
    const guest = bench.actor("vcpu", deviceAccess(bound, 3, "write", 7)).until("spin_lock(mmu_lock)");

    bench.run(bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_CLEAR", 3)));
    bench.map(3, READ_WRITE);
    bench.run(bench.k.bus.invalidateRangeEnd(range("MMU_NOTIFY_CLEAR", 3)));
    guest.finish();

    expect(bench.k.pages.content(old)).toBe(7);
  });

  it("C5: a fault inside the hull of an open invalidation retries", () => {
    const { bench, bound, range } = setUp();
    bench.map(3, READ_WRITE);
    bench.run(bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_CLEAR", 3)));
    const guest = bench.actor("vcpu", deviceAccess(bound, 3, "read")).until("mmu_invalidate_seq");

    guest.step();

    expect(guest.at).toBe("vcpu-tlb lookup");
    bench.run(bench.k.bus.invalidateRangeEnd(range("MMU_NOTIFY_CLEAR", 3)));
    expect(guest.finish()).toBe(0);
  });

  it("C6: a write fault asks with write intent, so that the page it maps is the broken-out copy", () => {
    const { bench, bound, spte } = setUp();
    bench.map(3, WRITABLE_CLEAN);

    bench.access(bound, 3, "write", 7);

    expect(spte(3) & SPTE_WRITABLE).not.toBe(0);
    expect(bench.k.pte.hwWritable(bench.pte(3), false)).toBe(true);
  });

  it("C6: a read fault maps writable when the host's entry is writable now, and read-only when it is not", () => {
    const { bench, bound, spte } = setUp();
    bench.map(3, READ_WRITE);
    bench.map(4, READ_ONLY);

    bench.access(bound, 3, "read");
    bench.access(bound, 4, "read");

    expect(spte(3) & SPTE_WRITABLE).not.toBe(0);
    expect(spte(4) & SPTE_WRITABLE).toBe(0);
  });

  it("C7: a filtered upgrade costs nothing: no count, no sequence, no zap; the guest's write takes one fault", () => {
    const { bench, device, bound, counters, spte } = setUp();
    bench.map(3, WRITABLE_CLEAN);
    bench.access(bound, 3, "read");

    bench.run(bench.upgrade(3));

    expect([counters.mnActive, counters.inProgress, counters.seq]).toEqual([0, 0, 0]);
    expect(spte(3)).not.toBe(0);
    expect(device.costs.report()).toMatchObject({ callbacks: 0, zaps: 0, remoteFlushes: 0 });
    expect(bench.access(bound, 3, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 1 });
  });

  it("C8: unfiltered, the fault that raises the upgrade retries exactly once, and it is no livelock", () => {
    const { bench, device, bound } = setUp({ filter: false });
    bench.map(3, WRITABLE_CLEAN);
    bench.access(bound, 3, "read");

    expect(bench.access(bound, 3, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 2 });
    expect(device.costs.report()).toMatchObject({ selfRetries: 1, zaps: 1, remoteFlushes: 1 });
  });

  it("C9: filtered in start only, the count underflows: the VM is dead", () => {
    const { bench, bound, counters, errors } = setUp({ filterPhases: "start" });
    bench.map(3, WRITABLE_CLEAN);
    bench.access(bound, 3, "read");

    bench.run(bench.upgrade(3));

    expect(errors()).toEqual(["KVM_BUG_ON", "WARN_MN_ACTIVE"]);
    expect(counters.bugged).toBe(true);
    expect(bench.access(bound, 3, "write").outcome.kind).toBe("abort");
  });

  it("C9: filtered in end only, every fault in the hull retries for ever and memslot updates block", () => {
    const { bench, bound, binding, counters } = setUp({ filterPhases: "end" });
    bench.map(3, WRITABLE_CLEAN);
    bench.access(bound, 3, "read");

    bench.run(bench.upgrade(3));

    expect([counters.mnActive, counters.inProgress]).toEqual([1, 1]);
    expect(bench.access(bound, 3, "write").outcome).toEqual({ kind: "livelock" });
    const update = bench.actor("ioctl", binding.addMemslot({ gfn: 200, vpn: 8, pages: 2 }));
    update.step();
    expect(update.blocked).toBe(true);
  });

  it("C10: an upgrade raises no entry: the host may have taken the right back before the event", () => {
    for (const filter of [true, false]) {
      const { bench, bound, spte } = setUp({ filter });
      bench.map(3, WRITABLE_CLEAN);
      bench.access(bound, 3, "read");

      bench.run(bench.upgrade(3));

      expect(spte(3) & SPTE_WRITABLE).toBe(0);
    }
  });

  it("C11: a downgrade is never filtered, and the check refuses a definition that says so", () => {
    const { bench, device, bound, spte } = setUp();
    bench.map(3, READ_WRITE);
    bench.access(bound, 3, "write", 1);

    bench.run(bench.downgrade(3));

    expect(spte(3)).toBe(0);
    const host = hostFacts(bench.k);
    expect(checkDeclaration(kvm, host, device.options)).toEqual([]);
    const careless = { ...kvm, declares: { ...bound.declarations, filters: ["MMU_NOTIFY_PROTECTION_PAGE" as const] } };
    expect(checkDeclaration(careless, host, device.options)).toMatchObject([
      { verdict: "CONTRACT", event: "MMU_NOTIFY_PROTECTION_PAGE" },
    ]);
  });

  it("C12: clear_young never flushes, clear_flush_young does unless it is elided, test_young changes nothing", () => {
    const flushes = (options: Partial<KvmOptions>, act: (bench: Workbench) => number) => {
      const { bench, device, bound } = setUp(options);
      bench.map(3, READ_WRITE);
      bench.access(bound, 3, "read");
      expect(act(bench)).toBe(1);
      return device.costs.of("remoteFlushes");
    };
    const { k } = setUp().bench;
    expect(k.profile.hasChangePte).toBe(true);

    expect(flushes({}, (b) => b.run(b.k.bus.clearYoung(b.mm, 0, 8 * PAGE_SIZE)))).toBe(0);
    expect(flushes({}, (b) => b.run(b.k.bus.clearFlushYoung(b.mm, 0, 8 * PAGE_SIZE)))).toBe(1);
    expect(flushes({ elideFlushIfYoung: true }, (b) => b.run(b.k.bus.clearFlushYoung(b.mm, 0, 8 * PAGE_SIZE)))).toBe(0);
    expect(
      flushes({}, (b) => b.run(b.k.bus.testYoung(b.mm, 3 * PAGE_SIZE)) & b.run(b.k.bus.testYoung(b.mm, 3 * PAGE_SIZE))),
    ).toBe(0);
  });

  it("C12: without a flush a cached translation leaves the page falsely old", () => {
    const { bench, bound } = setUp();
    bench.map(3, READ_WRITE);
    bench.access(bound, 3, "read");
    bench.run(bench.k.bus.clearYoung(bench.mm, 0, 8 * PAGE_SIZE));

    bench.access(bound, 3, "read");

    expect(bench.run(bench.k.bus.testYoung(bench.mm, 3 * PAGE_SIZE))).toBe(0);
  });

  it("C13: dirty logging takes the write right without any mm event; the fast path gives it back where the host allows it", () => {
    const { bench, device, bound, binding, counters, spte } = setUp();
    bench.map(3, READ_WRITE);
    bench.map(4, WRITABLE_CLEAN);
    bench.access(bound, 3, "write", 1);
    bench.access(bound, 4, "read");
    bench.run(binding.startDirtyLog(1));
    expect(spte(3) & SPTE_WRITABLE).toBe(0);

    bench.access(bound, 3, "write", 2);
    expect(device.costs.of("callbacks")).toBe(0);
    expect(bench.run(binding.getDirtyLog(1))).toBe(1);
    bench.access(bound, 4, "write", 3);

    expect(bench.run(binding.getDirtyLog(1))).toBe(1);
    expect(bench.run(binding.getDirtyLog(1))).toBe(0);
    expect(counters.seq).toBe(0);
    expect(binding.vm.memslots.get(1).flags).toBe(MEMSLOT_LOG_DIRTY);
  });

  it("C13: a frame that is written, mapped anew and written again is in the log once", () => {
    const { bench, bound, binding } = setUp();
    bench.map(3, READ_WRITE);
    bench.run(binding.startDirtyLog(1));
    for (const value of [1, 2]) {
      bench.access(bound, 3, "write", value);
      bench.run(bench.unmap(3));
      bench.map(3, READ_WRITE);
    }

    expect(bench.run(binding.getDirtyLog(1))).toBe(1);
    expect(bench.run(binding.getDirtyLog(1))).toBe(0);
  });

  it("C14: synchronising with a guest entry never raises the write right beyond what the host gave", () => {
    const { bench, bound, binding, spte } = setUp();
    bench.map(3, READ_ONLY);
    bench.map(4, READ_WRITE);
    bench.access(bound, 3, "read");
    bench.access(bound, 4, "read");

    binding.vm.shadow.sync(103, true);
    binding.vm.shadow.sync(104, false);

    expect(spte(3) & SPTE_WRITABLE).toBe(0);
    expect(spte(4) & SPTE_WRITABLE).toBe(0);
  });

  it("C15: a non-blockable start is done all the same and never refused", () => {
    const { bench, bound, spte, range } = setUp();
    bench.map(3, READ_WRITE);
    bench.access(bound, 3, "read");

    expect(bench.run(bench.k.bus.invalidateRangeStartNonblock(range("MMU_NOTIFY_UNMAP", 3)))).toBe(0);

    expect(spte(3)).toBe(0);
  });

  it("C16: release zaps all, and later faults fail", () => {
    const { bench, bound } = setUp();
    bench.map(3, READ_WRITE);
    bench.access(bound, 3, "write", 1);

    bench.run(bench.k.bus.release(bench.mm));

    expect(bound.binding.entries()).toEqual([]);
    expect(bench.access(bound, 3, "read").outcome.kind).toBe("abort");
  });

  it("C17: a pfn cache watches mn_active_invalidate_count, because it goes invalid before in_progress is raised", () => {
    const { bench, binding, counters, range } = setUp();
    const pfn = bench.map(3, READ_WRITE);
    const cache = binding.addPfnCache(103);
    expect(bench.run(binding.refreshPfnCache(cache))).toBe(0);
    expect(binding.vm.pfnCaches.pfn(cache)).toBe(pfn);

    const start = bench
      .actor("cpu", bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_CLEAR", 3)))
      .until("spin_lock(mmu_lock)");
    expect([counters.mnActive, counters.inProgress]).toEqual([1, 0]);
    expect(binding.vm.pfnCaches.pfn(cache)).toBe(0);
    const refresh = bench.actor("vcpu", binding.refreshPfnCache(cache));
    expect(refresh.blocked).toBe(true);
    start.finish();
    bench.run(bench.k.bus.invalidateRangeEnd(range("MMU_NOTIFY_CLEAR", 3)));

    expect(refresh.finish()).toBe(0);
  });

  it("C17: a refresh that an invalidation overtook looks again", () => {
    const { bench, binding, range } = setUp();
    bench.map(3, READ_WRITE);
    const cache = binding.addPfnCache(103);
    const refresh = bench.actor("vcpu", binding.refreshPfnCache(cache)).until("gpc: mmu_notifier_retry_cache");

    bench.run(bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_CLEAR", 3)));
    const moved = bench.map(3, READ_WRITE);
    bench.run(bench.k.bus.invalidateRangeEnd(range("MMU_NOTIFY_CLEAR", 3)));
    refresh.finish();

    expect(binding.vm.pfnCaches.pfn(cache)).toBe(moved);
  });

  it("C17: a memslot that goes away takes the pfn caches of its frames along, also those that are being refreshed", () => {
    const { bench, binding } = setUp();
    bench.map(3, READ_WRITE);
    const [held, late] = [binding.addPfnCache(103), binding.addPfnCache(103)];
    bench.run(binding.refreshPfnCache(held));
    const refresh = bench.actor("vcpu", binding.refreshPfnCache(late)).until("gpc: mmu_notifier_retry_cache");

    bench.run(binding.removeMemslot(1));

    expect(binding.vm.pfnCaches.pfn(held)).toBe(0);
    expect(refresh.finish()).toBeLessThan(0);
    expect(binding.vm.pfnCaches.pfn(late)).toBe(0);
  });

  it("C18: an event costs its zaps and at most one remote flush, and a filtered one nothing", () => {
    const { bench, device, bound, range } = setUp({ vcpus: 4 });
    for (const vpn of [1, 2, 3]) {
      bench.map(vpn, READ_WRITE);
      bench.access(bound, vpn, "read");
    }

    bench.run(bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_UNMAP", 1, 3)));
    bench.run(bench.k.bus.invalidateRangeEnd(range("MMU_NOTIFY_UNMAP", 1, 3)));
    bench.run(bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_UNMAP", 1, 3)));

    expect(device.costs.report()).toMatchObject({ callbacks: 2, zaps: 3, remoteFlushes: 1, ipis: 4 });
  });
});

describe("interleavings", () => {
  it("X1: the CPU upgrades a page that the guest has read-only: one fault", () => {
    for (const profile of ["v6.4", "v6.12", "v7.3"]) {
      const { bench, bound } = setUp({}, profile);
      bench.map(3, WRITABLE_CLEAN);
      bench.access(bound, 3, "read");
      bench.run(bench.upgrade(3));

      expect(bench.access(bound, 3, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 1 });
    }
  });

  it("X4: fork while the guest has the page writable: the entry and every vCPU's translation are gone before start returns", () => {
    const { bench, bound, range } = setUp();
    bench.map(3, READ_WRITE);
    bench.access(bound, 3, "write", 1);
    expect(bound.binding.entries()).toHaveLength(2);

    bench.run(bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_PROTECTION_PAGE", 0, 8)));

    expect(bound.binding.entries()).toEqual([]);
  });

  it("X4: the remote flush waits for a vCPU that is about to write", () => {
    const { bench, bound, range } = setUp();
    bench.map(3, READ_WRITE);
    bench.access(bound, 3, "write", 1);
    const guest = bench.actor("vcpu", deviceAccess(bound, 3, "write", 2)).until("device write");
    const fork = bench
      .actor("fork", bench.k.bus.invalidateRangeStart(range("MMU_NOTIFY_PROTECTION_PAGE", 0, 8)))
      .until("acknowledged");

    expect(fork.blocked).toBe(true);
    guest.finish();
    fork.finish();
  });

  it("X7: two overlapping invalidations whose ends come out of order keep the counts right", () => {
    const { bench, counters, range } = setUp();
    const first = range("MMU_NOTIFY_CLEAR", 1, 3);
    const second = range("MMU_NOTIFY_UNMAP", 2, 4);
    bench.run(bench.k.bus.invalidateRangeStart(first));
    bench.run(bench.k.bus.invalidateRangeStart(second));
    bench.run(bench.k.bus.invalidateRangeEnd(first));

    expect([counters.mnActive, counters.inProgress, counters.seq]).toEqual([1, 1, 1]);
    bench.run(bench.k.bus.invalidateRangeEnd(second));

    expect([counters.mnActive, counters.inProgress, counters.seq]).toEqual([0, 0, 2]);
  });

  it("X10, X12: a silent hardware upgrade and a local-only one are each one fault", () => {
    const bench = new Workbench({ profile: "v7.3", arch: "arm64-hafdbs" });
    const bound = bench.device(kvm).bind(bench.mm);
    bench.map(3, WRITABLE_CLEAN);
    bench.access(bound, 3, "read");
    bench.hardwareDirty(3);

    expect(bench.access(bound, 3, "write", 7)).toMatchObject({ outcome: { kind: "value", value: 7 }, faults: 1 });
  });
});
