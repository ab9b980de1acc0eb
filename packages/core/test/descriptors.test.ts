import {
  architecture,
  architectures,
  kernelProfile,
  mkPte,
  PTE_AF,
  PTE_CONT,
  PTE_DIRTY,
  PTE_HUGE,
  PTE_NX,
  PTE_PROTNONE,
  PTE_RDONLY,
  PTE_USER,
  PTE_VALID,
  PTE_WRITE,
  PteOps,
  pteMkyoung,
  pteWrite,
} from "@mmu-notifier/core";
import { describe, expect, it } from "vitest";
import { CAPTURED_HUGE_UPGRADES, CAPTURED_UPGRADES, type CapturedUpgrade } from "./captured-descriptors.js";

function opsOf({ kernel, arch }: CapturedUpgrade): PteOps {
  const { version, arm64MkwriteNeedsDirty } = kernelProfile(kernel);
  return new PteOps(architecture(arch), { version, mkwriteNeedsDirty: arm64MkwriteNeedsDirty, softDirty: true });
}

function hex(descriptor: bigint): string {
  return `0x${descriptor.toString(16)}`;
}

describe.each([
  { size: "4 KiB", captured: CAPTURED_UPGRADES, kind: 0 },
  { size: "2 MiB", captured: CAPTURED_HUGE_UPGRADES, kind: PTE_HUGE },
])("entries of $size that real kernels used", ({ captured, kind }) => {
  it.each(captured)("$kernel $arch $case: packing and unpacking gives the same descriptor", (sample) => {
    const ops = opsOf(sample);
    for (const descriptor of [sample.before, sample.wanted]) {
      const packed = mkPte(ops.pfnOf(descriptor), ops.flagsOf(descriptor) | kind);
      expect(hex(ops.toDescriptor(packed))).toBe(hex(descriptor));
    }
  });

  it.each(captured)(
    "$kernel $arch $case: the operations on the packed entry give the entry the kernel asked for",
    (sample) => {
      const ops = opsOf(sample);
      const before = mkPte(ops.pfnOf(sample.before), ops.flagsOf(sample.before) | kind);
      const becomesWritable = !pteWrite(before) && pteWrite(ops.flagsOf(sample.wanted));
      const young = pteMkyoung(before);
      const dirty = sample.write ? ops.mkdirty(young) : young;
      const wanted = becomesWritable ? ops.mkwrite(dirty) : dirty;
      expect(hex(ops.toDescriptor(wanted))).toBe(hex(sample.wanted));
      expect(wanted !== before).toBe(sample.changed);
    },
  );
});

describe("bits that moved between kernel versions", () => {
  it("arm64 marks PROT_NONE in bit 58 up to v6.9 and with nG of an invalid entry since v6.10", () => {
    const none = mkPte(1, PTE_PROTNONE | PTE_AF | PTE_RDONLY | PTE_NX);
    const old = new PteOps(architecture("arm64"), { version: [6, 1] });
    const recent = new PteOps(architecture("arm64"), { version: [6, 12] });
    expect((old.toDescriptor(none) >> 58n) & 1n).toBe(1n);
    expect((recent.toDescriptor(none) >> 58n) & 1n).toBe(0n);
    expect((recent.toDescriptor(none) >> 11n) & 1n).toBe(1n);
    for (const ops of [old, recent])
      expect(ops.flagsOf(ops.toDescriptor(none))).toBe(PTE_PROTNONE | PTE_AF | PTE_RDONLY | PTE_NX);
  });

  it("x86 keeps the dirty state of an entry that is not writable in bit 58 since v6.6", () => {
    const dirty = mkPte(1, PTE_VALID | PTE_USER | PTE_DIRTY);
    const x86 = architecture("x86-64");
    expect(new PteOps(x86, { version: [6, 4] }).toDescriptor(dirty)).toBe(0x1045n);
    expect(new PteOps(x86, { version: [6, 6] }).toDescriptor(dirty)).toBe((1n << 58n) | 0x1005n);
    expect(new PteOps(x86, { version: [6, 6] }).toDescriptor(dirty | PTE_WRITE)).toBe(0x1047n);
  });
});

describe("architectures that no corpus covers", () => {
  it("riscv64 puts the frame at bit 10 and sets X where the packed entry is not NX", () => {
    const ops = new PteOps(architecture("riscv64"));
    const pte = mkPte(3, PTE_VALID | PTE_USER | PTE_WRITE | PTE_DIRTY | PTE_AF);
    expect(ops.toDescriptor(pte)).toBe((3n << 10n) | 0b1101_1111n);
    expect(ops.toDescriptor(pte | PTE_NX)).toBe((3n << 10n) | 0b1101_0111n);
  });

  it("sparc64 gives hardware its write bit only when the entry is writable and modified", () => {
    const ops = new PteOps(architecture("sparc64"));
    const clean = mkPte(0, PTE_VALID | PTE_WRITE);
    expect(ops.toDescriptor(clean) & (1n << 6n)).toBe(0n);
    expect(ops.toDescriptor(clean | PTE_DIRTY) & (1n << 6n)).toBe(1n << 6n);
  });

  it("ia64 encodes write in the access rights and the user level in PL", () => {
    const ops = new PteOps(architecture("ia64"));
    expect(ops.toDescriptor(mkPte(1, PTE_VALID | PTE_AF | PTE_WRITE | PTE_NX))).toBe(
      0x1000n | (1n << 10n) | (3n << 7n) | (1n << 5n) | 1n,
    );
  });

  it.each(architectures)(
    "$name: the flags that hardware or software keeps in the descriptor survive a round trip",
    (arch) => {
      const ops = new PteOps(arch);
      for (const { flag } of arch.descriptor) {
        if (flag === PTE_PROTNONE || flag === PTE_CONT) continue;
        const pte = PTE_VALID | flag;
        expect(ops.flagsOf(ops.toDescriptor(pte)) & flag).toBe(flag);
      }
    },
  );
});
