import {
  EACCES,
  EBADF,
  EEXIST,
  EFAULT,
  EINVAL,
  ENOMEM,
  EPERM,
  errnoName,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_HUGEPAGE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MADV_WIPEONFORK,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_PRIVATE,
  MAP_SHARED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  MS_ASYNC,
  MS_SYNC,
  PAGE_SIZE,
  PROT_GROWSDOWN,
  PROT_GROWSUP,
  PROT_READ,
  PROT_WRITE,
  sysBrk,
  sysMadvise,
  sysMincore,
  sysMlock,
  sysMmap,
  sysMprotect,
  sysMremap,
  sysMseal,
  sysMsync,
  sysMunlock,
  sysMunmap,
} from "@mmu-notifier/core";
import type { Path } from "@mmu-notifier/steps";
import { describe, expect, test } from "vitest";
import { VmaMachine } from "./vma-machine.js";

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS;

/** What is mapped: 0-4 anonymous, a hole, 8-12 anonymous read-only, 16-20 a shared file opened read-only. */
function machine(profile = "v6.18"): VmaMachine {
  const m = new VmaMachine(profile, "x86-64");
  m.anon(0, 4);
  m.anon(8, 4, PROT_READ);
  const inode = m.k.files.inode(m.shmem(8));
  const readOnly = m.k.files.open(inode, 1);
  m.run(
    sysMmap(m.k, m.t, {
      address: m.at(16),
      length: 4 * PAGE_SIZE,
      prot: PROT_READ,
      flags: MAP_SHARED | MAP_FIXED,
      file: readOnly,
    }),
  );
  return m;
}

type Call = (m: VmaMachine) => Path<number>;

/** 0 for every success: addresses and counts are not the matter here. */
function outcome(m: VmaMachine, call: Call): string {
  const result = m.run(call(m));
  return result < 0 ? errnoName(result) : "ok";
}

const name = (errno: number): string => errnoName(errno);

describe("mmap: the first check that fails decides", () => {
  const map =
    (request: {
      address?: number;
      length?: number;
      prot?: number;
      flags?: number;
      file?: number;
      offset?: number;
    }): Call =>
    (m) =>
      sysMmap(m.k, m.t, { address: m.at(32), length: PAGE_SIZE, prot: RW, flags: ANON | MAP_FIXED, ...request });
  test.each<[string, Call, string]>([
    ["offset off a page border", map({ offset: 100 }), name(EINVAL)],
    ["no file and not anonymous", map({ flags: MAP_PRIVATE, file: 0 }), name(EBADF)],
    ["closed descriptor", map({ flags: MAP_PRIVATE, file: -1 }), name(EBADF)],
    ["length 0", map({ length: 0 }), name(EINVAL)],
    ["longer than the address space", map({ length: 2 ** 50 }), name(ENOMEM)],
    ["fixed off a page border", (m) => map({ address: m.at(32) + 100 })(m), name(EINVAL)],
    ["neither shared nor private", map({ flags: MAP_ANONYMOUS | MAP_FIXED }), name(EINVAL)],
    [
      "shared memory that grows down",
      map({ flags: MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED }),
      name(EINVAL),
    ],
    [
      "over a mapping with MAP_FIXED_NOREPLACE",
      (m) => map({ address: m.at(3), flags: ANON | MAP_FIXED_NOREPLACE })(m),
      name(EEXIST),
    ],
    [
      "huge pages off their border",
      (m) => map({ address: m.at(33), flags: ANON | MAP_FIXED | MAP_HUGETLB })(m),
      name(EINVAL),
    ],
    [
      "more huge pages than the pool has",
      (m) => map({ address: m.at(512), length: 100 * 2 ** 21, flags: ANON | MAP_FIXED | MAP_HUGETLB })(m),
      name(ENOMEM),
    ],
    [
      "shared writable of a file opened read-only",
      (m) => map({ flags: MAP_SHARED | MAP_FIXED, file: m.k.files.open(m.k.files.inode(m.shmem(4)), 1) })(m),
      name(EACCES),
    ],
    [
      "private of a file not opened for reading",
      (m) => map({ flags: MAP_PRIVATE | MAP_FIXED, file: m.k.files.open(m.k.files.inode(m.shmem(4)), 2) })(m),
      name(EACCES),
    ],
    ["in a free place", map({}), "ok"],
  ])("%s", (_, call, expected) => {
    expect(outcome(machine(), call)).toBe(expected);
  });
});

describe("munmap, mprotect", () => {
  const protect =
    (page: number, pages: number, prot: number): Call =>
    (m) =>
      sysMprotect(m.k, m.t, m.at(page), pages * PAGE_SIZE, prot);
  test.each<[string, Call, string]>([
    ["munmap off a page border", (m) => sysMunmap(m.k, m.t, m.at(0) + 1, PAGE_SIZE), name(EINVAL)],
    ["munmap of nothing at all", (m) => sysMunmap(m.k, m.t, m.at(0), 0), name(EINVAL)],
    ["munmap beyond the address space", (m) => sysMunmap(m.k, m.t, 2 ** 47, PAGE_SIZE), name(EINVAL)],
    ["munmap where nothing is", (m) => sysMunmap(m.k, m.t, m.at(100), PAGE_SIZE), "ok"],
    ["mprotect that grows both ways", protect(0, 1, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP), name(EINVAL)],
    ["mprotect off a page border", (m) => sysMprotect(m.k, m.t, m.at(0) + 1, 1, PROT_READ), name(EINVAL)],
    ["mprotect of length 0", (m) => sysMprotect(m.k, m.t, m.at(100), 0, PROT_READ), "ok"],
    ["mprotect with rights that do not exist", protect(0, 1, 0x80), name(EINVAL)],
    ["mprotect where nothing is", protect(100, 1, PROT_READ), name(ENOMEM)],
    ["mprotect that begins in a hole", protect(5, 5, PROT_READ), name(ENOMEM)],
    ["mprotect of a VMA that does not grow", protect(0, 1, PROT_READ | PROT_GROWSDOWN), name(EINVAL)],
    ["write to a shared file opened read-only", protect(16, 1, RW), name(EACCES)],
  ])("%s", (_, call, expected) => {
    expect(outcome(machine(), call)).toBe(expected);
  });

  test("mprotect over a hole has changed and announced what lies before it", () => {
    const m = machine();
    m.writeAll(0, 4);
    expect(m.log(protect(2, 8, PROT_READ)(m))).toContain("S 2-4 PROTECTION_VMA");
    expect(m.vmas().slice(0, 2)).toEqual(["0-2 rw", "2-4 r"]);
  });
});

describe("mremap", () => {
  const remap =
    (page: number, oldPages: number, newPages: number, flags: number, to = 0): Call =>
    (m) =>
      sysMremap(m.k, m.t, m.at(page), oldPages * PAGE_SIZE, newPages * PAGE_SIZE, flags, to === 0 ? 0 : m.at(to));
  const table: readonly [string, Call, string][] = [
    ["unknown flag", remap(0, 1, 1, 8), name(EINVAL)],
    ["fixed without maymove", remap(0, 1, 1, MREMAP_FIXED, 40), name(EINVAL)],
    ["dontunmap without maymove", remap(0, 1, 1, MREMAP_DONTUNMAP), name(EINVAL)],
    ["dontunmap that resizes", remap(0, 1, 2, MREMAP_DONTUNMAP | MREMAP_MAYMOVE), name(EINVAL)],
    ["off a page border", (m) => sysMremap(m.k, m.t, m.at(0) + 1, PAGE_SIZE, PAGE_SIZE, 0), name(EINVAL)],
    ["to nothing", remap(0, 1, 0, 0), name(EINVAL)],
    ["where nothing is", remap(100, 1, 2, 0), name(EFAULT)],
    ["across the end of the VMA", remap(2, 8, 9, MREMAP_MAYMOVE), name(EFAULT)],
    ["duplicating private memory", remap(0, 0, 1, MREMAP_MAYMOVE), name(EINVAL)],
    ["onto itself", remap(0, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 1), name(EINVAL)],
    ["growing in place where something is", remap(0, 4, 10, 0), name(ENOMEM)],
    ["growing in place where room is", remap(0, 4, 6, 0), "ok"],
    ["shrinking", remap(0, 4, 2, 0), "ok"],
  ];
  test.each(table)("v6.18: %s", (_, call, expected) => {
    expect(outcome(machine("v6.18"), call)).toBe(expected);
  });
  test.each(table)("v6.12: %s", (_, call, expected) => {
    expect(outcome(machine("v6.12"), call)).toBe(expected);
  });

  test.each([
    ["v6.12", name(EFAULT)],
    ["v6.18", "ok"],
  ])("%s: moving several VMAs at once", (profile, expected) => {
    const m = machine(profile);
    m.anon(4, 2, PROT_READ);
    expect(outcome(m, remap(0, 6, 6, MREMAP_MAYMOVE | MREMAP_FIXED, 40))).toBe(expected);
    if (expected === "ok") expect(m.vmas()).toEqual(expect.arrayContaining(["40-44 rw", "44-46 r"]));
  });
});

describe("madvise", () => {
  const advise =
    (page: number, pages: number, advice: number): Call =>
    (m) =>
      sysMadvise(m.k, m.t, m.at(page), pages * PAGE_SIZE, advice);
  test.each<[string, Call, string]>([
    ["advice nobody knows", advise(0, 1, 77), name(EINVAL)],
    ["off a page border", (m) => sysMadvise(m.k, m.t, m.at(0) + 1, 1, MADV_DONTNEED), name(EINVAL)],
    ["of length 0", advise(100, 0, MADV_DONTNEED), "ok"],
    ["negative length", (m) => sysMadvise(m.k, m.t, m.at(0), -1, MADV_DONTNEED), name(EINVAL)],
    ["over a hole: done, and then refused", advise(2, 8, MADV_DONTNEED), name(ENOMEM)],
    ["FREE of a file", advise(16, 1, MADV_FREE), name(EINVAL)],
    ["REMOVE of anonymous memory", advise(0, 1, MADV_REMOVE), name(EINVAL)],
    ["REMOVE of a file opened read-only", advise(16, 1, MADV_REMOVE), name(EACCES)],
    ["WIPEONFORK of a file", advise(16, 1, MADV_WIPEONFORK), name(EINVAL)],
    ["POPULATE_WRITE of read-only memory", advise(8, 1, MADV_POPULATE_WRITE), name(EINVAL)],
    ["POPULATE_READ where nothing is", advise(100, 1, MADV_POPULATE_READ), name(ENOMEM)],
    ["HUGEPAGE", advise(0, 4, MADV_HUGEPAGE), "ok"],
    ["GUARD_INSTALL", advise(0, 4, MADV_GUARD_INSTALL), "ok"],
  ])("%s", (_, call, expected) => {
    expect(outcome(machine(), call)).toBe(expected);
  });

  test("GUARD_INSTALL is not known before v6.13", () => {
    expect(outcome(machine("v6.12"), advise(0, 4, MADV_GUARD_INSTALL))).toBe(name(EINVAL));
  });

  test("locked memory cannot be emptied", () => {
    const m = machine();
    m.run(sysMlock(m.k, m.t, m.at(0), PAGE_SIZE));
    expect(outcome(m, advise(0, 1, MADV_DONTNEED))).toBe(name(EINVAL));
  });
});

describe("mlock, msync, mincore, mseal, brk", () => {
  test.each<[string, Call, string]>([
    ["mlock over a hole", (m) => sysMlock(m.k, m.t, m.at(2), 4 * PAGE_SIZE), name(ENOMEM)],
    ["munlock where nothing is", (m) => sysMunlock(m.k, m.t, m.at(100), PAGE_SIZE), name(ENOMEM)],
    ["mlock of length 0", (m) => sysMlock(m.k, m.t, m.at(100), 0), "ok"],
    ["msync both ways", (m) => sysMsync(m.k, m.t, m.at(0), PAGE_SIZE, MS_SYNC | MS_ASYNC), name(EINVAL)],
    ["msync off a page border", (m) => sysMsync(m.k, m.t, m.at(0) + 1, PAGE_SIZE, MS_SYNC), name(EINVAL)],
    ["msync over a hole", (m) => sysMsync(m.k, m.t, m.at(2), 8 * PAGE_SIZE, MS_SYNC), name(ENOMEM)],
    ["mincore over a hole", (m) => sysMincore(m.k, m.t, m.at(2), 4 * PAGE_SIZE, []), name(ENOMEM)],
    ["mincore off a page border", (m) => sysMincore(m.k, m.t, m.at(0) + 1, PAGE_SIZE, []), name(EINVAL)],
    ["mseal with flags", (m) => sysMseal(m.k, m.t, m.at(0), PAGE_SIZE, 1), name(EINVAL)],
    ["mseal over a hole", (m) => sysMseal(m.k, m.t, m.at(2), 4 * PAGE_SIZE), name(ENOMEM)],
    ["mseal", (m) => sysMseal(m.k, m.t, m.at(0), 4 * PAGE_SIZE), "ok"],
  ])("%s", (_, call, expected) => {
    expect(outcome(machine(), call)).toBe(expected);
  });

  test.each<[string, Call]>([
    ["munmap", (m) => sysMunmap(m.k, m.t, m.at(1), PAGE_SIZE)],
    ["mprotect", (m) => sysMprotect(m.k, m.t, m.at(1), PAGE_SIZE, PROT_READ)],
    ["mremap", (m) => sysMremap(m.k, m.t, m.at(1), PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, m.at(40))],
    [
      "mapping over it",
      (m) => sysMmap(m.k, m.t, { address: m.at(1), length: PAGE_SIZE, prot: RW, flags: ANON | MAP_FIXED }),
    ],
  ])("%s of sealed memory", (_, call) => {
    const m = machine();
    m.run(sysMseal(m.k, m.t, m.at(0), 4 * PAGE_SIZE));
    expect(outcome(m, call)).toBe(name(EPERM));
    expect(m.vmas()[0]).toBe("0-4 rw");
  });

  test("brk grows, shrinks, and says where it is when it cannot move", () => {
    const m = machine();
    const start = m.k.mms.brkBytes(m.t.mm);
    expect(m.run(sysBrk(m.k, m.t, start + 5 * PAGE_SIZE))).toBe(start + 5 * PAGE_SIZE);
    expect(m.run(sysBrk(m.k, m.t, start + 9 * PAGE_SIZE))).toBe(start + 9 * PAGE_SIZE);
    expect(m.run(sysBrk(m.k, m.t, start + PAGE_SIZE + 1))).toBe(start + PAGE_SIZE + 1);
    expect(m.run(sysBrk(m.k, m.t, start - 1))).toBe(start + PAGE_SIZE + 1);
  });
});
