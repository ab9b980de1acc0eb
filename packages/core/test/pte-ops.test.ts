import {
  architectures,
  isMigrationEntry,
  mkPte,
  PFN_SHIFT,
  type Pte,
  PTE_AF,
  PTE_DIRTY,
  PTE_NX,
  PTE_RDONLY,
  PTE_SOFT_DIRTY,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
  PteOps,
  ptePfn,
  pteWrite,
  pteYoung,
  VM_EXEC,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from "@mmu-notifier/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const ALL = architectures.flatMap((arch) => [
  { name: `${arch.name} before v6.12`, arch, ops: new PteOps(arch, { version: [6, 4] }) },
  { name: `${arch.name} since v6.12`, arch, ops: new PteOps(arch, { version: [6, 12], mkwriteNeedsDirty: true }) },
]);

/** Entries that the kernel can have for a user page: made by its own operations from a VMA's rights. */
function userEntries(ops: PteOps): fc.Arbitrary<Pte> {
  const rights = fc.constantFrom(
    VM_READ,
    VM_READ | VM_WRITE,
    VM_READ | VM_EXEC,
    VM_READ | VM_WRITE | VM_SHARED,
    VM_READ | VM_WRITE | VM_EXEC | VM_SHARED,
  );
  const op = fc.constantFrom<(pte: Pte) => Pte>(
    (pte) => ops.mkdirty(pte),
    (pte) => ops.mkclean(pte),
    (pte) => ops.mkwrite(pte),
    (pte) => ops.wrprotect(pte),
    (pte) => pte | PTE_AF,
    (pte) => pte & ~PTE_AF,
    (pte) => (ops.hwWritable(pte, true) ? ops.hwMkdirty(pte) : pte),
  );
  return fc
    .tuple(fc.integer({ min: 1, max: 2 ** 18 }), rights, fc.array(op, { maxLength: 6 }))
    .map(([pfn, flags, steps]) => steps.reduce((pte, apply) => apply(pte), mkPte(pfn, ops.pageProt(flags))));
}

describe.each(ALL)("entries of $name", ({ arch, ops }) => {
  const entry = userEntries(ops);

  it("write protection takes the right away and keeps what was written", () => {
    fc.assert(
      fc.property(entry, (pte) => {
        const ro = ops.wrprotect(pte);
        expect(pteWrite(ro)).toBe(false);
        expect(ops.hwWritable(ro, false) || ops.hwWritable(ro, true)).toBe(false);
        expect(ops.dirty(ro)).toBe(ops.dirty(pte));
        if (ops.dirty(pte)) expect(ops.dirty(ops.mkwrite(ro))).toBe(true);
        expect(ptePfn(ro)).toBe(ptePfn(pte));
        expect(ops.wrprotect(ro)).toBe(ro);
      }),
    );
  });

  it("what hardware may write, software calls writable", () => {
    fc.assert(
      fc.property(entry, fc.boolean(), (pte, HD) => {
        if (ops.hwWritable(pte, HD)) expect(pteWrite(pte)).toBe(true);
        if (ops.hwWritable(pte, false)) expect(ops.hwWritable(pte, true)).toBe(true);
      }),
    );
  });

  it("a hardware write leaves the entry dirty, writable and of the same frame", () => {
    fc.assert(
      fc.property(entry, (pte) => {
        fc.pre(ops.hwWritable(pte, true));
        const written = ops.hwMkdirty(pte);
        expect(ops.dirty(written)).toBe(true);
        expect(ops.hwWritable(written, false)).toBe(true);
        expect(ptePfn(written)).toBe(ptePfn(pte));
      }),
    );
  });

  it("writable and dirty is enough for hardware without dirty-state management", () => {
    fc.assert(
      fc.property(entry, (pte) => {
        const full = ops.mkwrite(ops.mkdirty(pte));
        expect(ops.hwWritable(full, false)).toBe(true);
        expect(ops.dirty(full)).toBe(true);
      }),
    );
  });

  it("a clean entry is not dirty, and hardware must be let in again or set the dirty state", () => {
    fc.assert(
      fc.property(entry, (pte) => {
        const clean = ops.mkclean(pte);
        expect(ops.dirty(clean)).toBe(false);
        expect(pteWrite(clean)).toBe(pteWrite(pte));
        if (arch.writeEncoding !== "direct") expect(ops.hwWritable(clean, false)).toBe(false);
      }),
    );
  });

  it("changing the rights keeps frame, dirty and young", () => {
    fc.assert(
      fc.property(
        entry,
        fc.constantFrom(0, VM_READ, VM_READ | VM_WRITE, VM_READ | VM_WRITE | VM_SHARED, VM_READ | VM_EXEC),
        (pte, flags) => {
          const changed = ops.modify(pte, ops.pageProt(flags));
          expect(ptePfn(changed)).toBe(ptePfn(pte));
          expect(pteYoung(changed)).toBe(pteYoung(pte));
          expect(ops.dirty(changed)).toBe(ops.dirty(pte));
          expect(pteWrite(changed)).toBe(pteWrite(ops.pageProt(flags)));
          expect((changed & PTE_VALID) !== 0).toBe(flags !== 0);
          expect(ops.hwReadable(changed, true)).toBe(flags !== 0);
        },
      ),
    );
  });

  it("an old entry is readable only for hardware that sets the access flag", () => {
    fc.assert(
      fc.property(entry, (pte) => {
        expect(ops.hwReadable(pte & ~PTE_AF, false)).toBe(false);
        expect(ops.hwReadable(pte | PTE_AF, false)).toBe(ops.hwReadable(pte, true));
      }),
    );
  });

  it("packing into a descriptor and back loses nothing the architecture has a bit for", () => {
    const kept = arch.descriptor.reduce((mask, { flag }) => mask | flag, 0);
    fc.assert(
      fc.property(entry, (pte) => {
        const descriptor = ops.toDescriptor(pte);
        expect(ops.flagsOf(descriptor)).toBe(pte & kept);
        expect(ops.pfnOf(descriptor)).toBe(pte >>> PFN_SHIFT);
      }),
    );
  });
});

describe("differences between architectures", () => {
  const ops = (name: string, mkwriteNeedsDirty = false): PteOps =>
    new PteOps(
      architectures.find((arch) => arch.name === name)!,
      { mkwriteNeedsDirty, softDirty: true },
    );
  const READ_ONLY = mkPte(1, PTE_VALID | PTE_USER | PTE_AF | PTE_NX);

  it("arm64 lets hardware write after pte_mkwrite(), since v6.12 only if the entry is dirty", () => {
    const clean = READ_ONLY | PTE_RDONLY;
    expect(ops("arm64").hwWritable(ops("arm64").mkwrite(clean), false)).toBe(true);
    expect(ops("arm64", true).hwWritable(ops("arm64", true).mkwrite(clean), false)).toBe(false);
    expect(ops("arm64", true).hwWritable(ops("arm64", true).mkwrite(clean), true)).toBe(true);
    expect(ops("arm64", true).hwWritable(ops("arm64", true).mkwrite(clean | PTE_DIRTY), false)).toBe(true);
  });

  it("a shared writable page read first is refused to hardware without dirty management, except on x86", () => {
    const refused = architectures.filter((arch) => {
      const of = new PteOps(arch);
      return !of.hwWritable(mkPte(1, of.pageProt(VM_READ | VM_WRITE | VM_SHARED)), false);
    });
    expect(refused.map(({ name }) => name)).toEqual([
      "arm64",
      "arm64-hafdbs",
      "riscv64",
      "riscv64-svvptc",
      "sparc64",
      "ia64",
    ]);
  });

  it("only x86 marks a dirtied entry soft-dirty", () => {
    expect(ops("x86-64").mkdirty(READ_ONLY) & PTE_SOFT_DIRTY).toBe(PTE_SOFT_DIRTY);
    expect(ops("arm64").mkdirty(READ_ONLY) & PTE_SOFT_DIRTY).toBe(0);
    expect(ops("x86-64").hwMkdirty(READ_ONLY | PTE_WRITE) & PTE_SOFT_DIRTY).toBe(0);
  });

  it("no present entry looks like a migration entry", () => {
    expect(isMigrationEntry(READ_ONLY)).toBe(false);
  });
});
