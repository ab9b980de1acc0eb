import { step } from "@mmu-notifier/steps";
import {
  flushTlbFixSpuriousFault,
  PMD_LEVEL,
  PTE_AF,
  PTE_DIRTY,
  PTE_RDONLY,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
  ptepSetAccessFlags,
  pteMkyoung,
  SAF_CHANGED,
  SAF_GAINED,
  updateMmuCache,
} from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";
import { TlbMachine } from "./tlb-machine.js";

const VM_RO = PTE_VALID | PTE_USER | PTE_AF;

/** The read-only entry of a page that may become writable, as the architecture spells it. */
function readOnly(machine: TlbMachine): number {
  return machine.k.arch.writeEncoding === "dbm" ? VM_RO | PTE_RDONLY : VM_RO;
}

function withTlb(arch: string): TlbMachine {
  return new TlbMachine("v6.4", arch, { config: { cpus: 2, cpuTlbEntries: 2 } });
}

function upgrade(machine: TlbMachine, vpn: number, ptep: number, dirty = true) {
  const { k, mm } = machine;
  const young = pteMkyoung(k.tables.get(ptep));
  const wanted = dirty ? k.pte.mkwrite(k.pte.mkdirty(young)) : young;
  return ptepSetAccessFlags(k, 0, mm, vpn, ptep, wanted, dirty, "wp_page_reuse");
}

describe("a write that makes a read-only page writable", () => {
  it.each([
    ["v6.4", "arm64", ["tlbi 5..6"]],
    ["v6.4+upgrade-event", "arm64", ["tlbi 5..6"]],
    ["v6.12", "arm64", ["tlbi 5..6", "hook 5..6"]],
    ["v7.3", "arm64", ["tlbi 5..6 local", "hook 5..6"]],
    ["v7.3", "arm64-hafdbs", ["tlbi 5..6 local", "hook 5..6"]],
    ["v6.4", "x86-64", []],
    ["v6.12", "x86-64", []],
    ["v7.3", "x86-64", []],
    ["v6.12", "riscv64", []],
    ["v6.12", "riscv64-svvptc", ["tlbi 5..6", "hook 5..6"]],
    ["v6.4", "riscv64-svvptc", ["tlbi 5..6"]],
    ["v6.12", "sparc64", ["tlbi 5..6"]],
    ["v6.4", "ia64", ["tlbi 5..6"]],
  ])("on %s %s flushes %j", (profile, arch, expected) => {
    const machine = new TlbMachine(profile, arch);
    const ptep = machine.map(5, readOnly(machine));
    expect(machine.flushes(upgrade(machine, 5, ptep))).toEqual(expected);
    expect(machine.k.pte.hwWritable(machine.k.tables.get(ptep), false)).toBe(true);
  });

  it.each(["arm64", "x86-64", "riscv64", "sparc64", "ia64"])(
    "on %s says changed and gained, and tells observers",
    (arch) => {
      const machine = new TlbMachine("v6.4", arch);
      const ptep = machine.map(5, readOnly(machine));
      expect(machine.run(upgrade(machine, 5, ptep))).toBe(SAF_CHANGED | SAF_GAINED);
      expect(machine.events).toContainEqual({
        kind: "upgrade",
        mm: machine.mm,
        vpn: 5,
        pages: 1,
        site: "wp_page_reuse",
      });
      expect(machine.events).toContainEqual(
        expect.objectContaining({ kind: "set-access-flags", vpn: 5, dirty: true, changed: true }),
      );
    },
  );
});

describe("a flush of a huge leaf on upgrade", () => {
  it.each([
    ["v6.12", "tells the secondary TLB one base page", ["tlbi 512..513", "hook 512..513"]],
    ["v6.18", "tells the secondary TLB one base page", ["tlbi 512..513", "hook 512..513"]],
    ["v7.3", "tells the secondary TLB the whole leaf", ["tlbi 512..1024 local", "hook 512..1024"]],
  ])("on %s %s", (profile, _, expected) => {
    const machine = new TlbMachine(profile, "arm64");
    const pmdp = machine.map(512, readOnly(machine), { pfn: 512, huge: true });
    expect(machine.k.tables.levelOf(pmdp)).toBe(PMD_LEVEL);
    expect(machine.flushes(upgrade(machine, 600, pmdp))).toEqual(expected);
  });

  it("drops the CPU's whole huge translation although one page is flushed", () => {
    const machine = new TlbMachine("v6.4", "arm64", { config: { cpuTlbEntries: 4 } });
    const { k, mm } = machine;
    const pmdp = machine.map(512, readOnly(machine), { pfn: 512, huge: true });
    k.tlbs.insert(0, k.mms.asid(mm), 512, k.tables.get(pmdp), 512);
    machine.run(upgrade(machine, 600, pmdp));
    expect(k.tlbs.lookup(0, k.mms.asid(mm), 1000)).toBe(0);
  });
});

describe("the order of an upgrade on arm64", () => {
  it("stores, issues, tells the hook before the barrier, then waits", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const ptep = machine.map(5, readOnly(machine));
    expect(machine.timeline(upgrade(machine, 5, ptep))).toEqual([
      "ptep_set_access_flags",
      "tlbi 5..6",
      "hook 5..6",
      "dsb ish",
    ]);
  });

  it("waits for listening devices before it goes on", () => {
    const machine = new TlbMachine("v6.4", "arm64");
    const { k } = machine;
    const heard: string[] = [];
    let busy = true;
    k.dvm.join({
      tlbi: (_, start, end) => heard.push(`tlbi ${start}..${end}`),
      drained: () => !busy,
    });
    k.scheduler.spawn("device", function* () {
      yield step("finish the access", () => {
        busy = false;
        return heard.push("done");
      });
    });
    const ptep = machine.map(5, readOnly(machine));
    machine.run(upgrade(machine, 5, ptep));
    expect(heard).toEqual(["tlbi 5..6", "done"]);
  });

  it("since v7.0 reaches no device that listens to broadcasts", () => {
    const machine = new TlbMachine("v7.3", "arm64");
    const heard: number[] = [];
    machine.k.dvm.join({ tlbi: (asid) => heard.push(asid), drained: () => true });
    const ptep = machine.map(5, readOnly(machine));
    machine.run(upgrade(machine, 5, ptep));
    expect(heard).toEqual([]);
  });
});

describe("an access that only sets the access flag", () => {
  it.each([
    ["arm64", true, true],
    ["x86-64", true, false],
    ["ia64", true, false],
    ["sparc64", true, true],
    ["riscv64-svvptc", true, true],
  ])("on %s returns changed %s and stores %s, without a gain", (arch, changed, stores) => {
    const machine = new TlbMachine("v6.4", arch);
    const old = readOnly(machine) & ~PTE_AF;
    const ptep = machine.map(5, old);
    const before = machine.k.tables.get(ptep);
    const result = machine.run(upgrade(machine, 5, ptep, false));
    expect(result).toBe(changed ? SAF_CHANGED : 0);
    expect(machine.k.tables.get(ptep) !== before).toBe(stores);
  });

  it("needs no flush on arm64: an old entry is in no TLB", () => {
    const machine = new TlbMachine("v6.12", "arm64");
    const ptep = machine.map(5, readOnly(machine) & ~PTE_AF);
    expect(machine.flushes(upgrade(machine, 5, ptep, false))).toEqual([]);
  });
});

describe("a fault on an entry that is already right", () => {
  it.each([
    ["arm64", 0],
    ["x86-64", 0],
    ["riscv64-svvptc", 0],
    ["riscv64", SAF_CHANGED],
  ])("on %s returns %i and flushes nothing", (arch, expected) => {
    const machine = new TlbMachine("v6.12", arch);
    const ptep = machine.map(5, VM_RO | PTE_WRITE | PTE_DIRTY);
    const path = ptepSetAccessFlags(
      machine.k,
      0,
      machine.mm,
      5,
      ptep,
      machine.k.tables.get(ptep),
      true,
      "handle_pte_fault",
    );
    expect(machine.flushes(path)).toEqual([]);
    machine.events.length = 0;
    const again = ptepSetAccessFlags(
      machine.k,
      0,
      machine.mm,
      5,
      ptep,
      machine.k.tables.get(ptep),
      true,
      "handle_pte_fault",
    );
    expect(machine.run(again)).toBe(expected);
    expect(machine.events.filter(({ kind }) => kind === "upgrade")).toEqual([]);
  });
});

describe("bits that hardware set meanwhile", () => {
  it("stay on arm64, whose store merges", () => {
    const machine = new TlbMachine("v6.4", "arm64-hafdbs");
    const { k, mm } = machine;
    const wanted = VM_RO | PTE_RDONLY | PTE_WRITE;
    const ptep = machine.map(5, VM_RO | PTE_WRITE);
    machine.run(ptepSetAccessFlags(k, 0, mm, 5, ptep, (64 << 13) | wanted, false, "handle_pte_fault"));
    expect(k.pte.dirty(k.tables.get(ptep))).toBe(true);
  });
});

describe("what an architecture does after the store", () => {
  it.each([
    ["v6.12", "riscv64", ["tlbi 5..6 local"]],
    ["v6.12", "riscv64-svvptc", []],
    ["v6.12", "arm64", []],
    ["v6.12", "x86-64", []],
    ["v6.12", "sparc64", []],
  ])("update_mmu_cache() on %s %s flushes %j and tells no secondary TLB", (profile, arch, expected) => {
    const machine = new TlbMachine(profile, arch);
    expect(machine.flushes(updateMmuCache(machine.k, 0, machine.mm, 5))).toEqual(expected);
  });

  it("update_mmu_cache() of sparc64 reads the entry and puts it into the CPU's TLB in a second step", () => {
    const machine = withTlb("sparc64");
    const { k, mm } = machine;
    const ptep = machine.map(5, VM_RO);
    const path = updateMmuCache(k, 1, mm, 5);
    const read = path.next(0);
    if (read.done === true) throw new Error("nothing is read");
    const pte = read.value.run(0);
    k.tables.set(ptep, 0);
    const insert = path.next(pte);
    if (insert.done === true) throw new Error("nothing is preloaded");
    insert.value.run(0);
    expect([0, 1].map((cpu) => k.tlbs.lookup(cpu, k.mms.asid(mm), 5))).toEqual([0, pte]);
  });

  it("update_mmu_cache() preloads nothing that is not there, and on arm64 nothing at all", () => {
    const sparc = withTlb("sparc64");
    sparc.flushes(updateMmuCache(sparc.k, 0, sparc.mm, 5));
    const arm = withTlb("arm64");
    arm.map(5, VM_RO);
    arm.flushes(updateMmuCache(arm.k, 0, arm.mm, 5));
    for (const { k, mm } of [sparc, arm]) expect(k.tlbs.lookup(0, k.mms.asid(mm), 5)).toBe(0);
  });

  it.each([
    ["v6.12", "arm64", []],
    ["v7.3", "arm64", ["tlbi 5..6 local"]],
    ["v7.3", "x86-64", []],
    ["v6.12", "riscv64", ["tlbi 5..6", "hook 5..6"]],
    ["v6.4", "ia64", ["tlbi 5..6"]],
  ])("a spurious fault on %s %s flushes %j", (profile, arch, expected) => {
    const machine = new TlbMachine(profile, arch);
    expect(machine.flushes(flushTlbFixSpuriousFault(machine.k, 0, machine.mm, 5))).toEqual(expected);
  });
});

describe("what a tracer sees called", () => {
  it.each([
    ["arm64", false, ["ptep_set_access_flags"]],
    ["arm64", true, ["huge_ptep_set_access_flags", "ptep_set_access_flags"]],
    ["x86-64", false, ["pmdp_set_access_flags"]],
    ["x86-64", true, ["ptep_set_access_flags"]],
  ])("for a huge entry on %s, hugetlb %s: %j", (arch, hugetlb, expected) => {
    const machine = new TlbMachine("v6.12", arch);
    const { k, mm } = machine;
    const pmdp = machine.map(512, readOnly(machine), { pfn: 512, huge: true });
    const wanted = k.pte.mkwrite(k.pte.mkdirty(k.tables.get(pmdp)));
    machine.run(ptepSetAccessFlags(k, 0, mm, 600, pmdp, wanted, true, "site", { hugetlb }));
    const calls = machine.events.flatMap((event) => (event.kind === "set-access-flags" ? [event] : []));
    expect(calls.map(({ fn }) => fn)).toEqual(expected);
    expect(calls.every(({ vpn }) => vpn === 512)).toBe(true);
  });
});
