import { EFAULT, EPERM, PROT_READ } from "@mmu-notifier/core";
import { expect } from "vitest";
import type { Dmirror, DmirrorResult } from "./dmirror.js";
import { PROT_RW } from "./process.js";
import type { HmmScene } from "./scene.js";
import { type HmmTest, k, N, notK, valuesOf } from "./table.js";

const PROT_NONE = 0;

/** 0, all pages, one round of faulting: a cold access of any length. */
function cold({ ret, cpages, faults }: DmirrorResult, pages: number): void {
  expect({ ret, cpages, faults }).toEqual({ ret: 0, cpages: pages, faults: 1 });
}

/** The child opens a device of its own and writes through it. */
function childWrites(
  { process, open }: { process: HmmScene["process"]; open: HmmScene["open"] },
  shared: boolean,
): void {
  const child = process.fork();
  expect(child.read(0, N)).toEqual(valuesOf(N, k));
  const device: Dmirror = open(child);
  cold(device.write(0, N, notK), N);
  expect(child.read(0, N)).toEqual(valuesOf(N, notK));
  child.exit();
  expect(process.read(0, N)).toEqual(valuesOf(N, shared ? notK : k));
}

/** §2.1: basic access. */
export const accessTests: readonly HmmTest[] = [
  {
    id: "HMM-01",
    name: "open_close",
    run: (scene) => {
      const { device } = scene.open();
      scene.machine.run(device.unbind(scene.process.space), "close");
      expect(scene.machine.driverErrors).toEqual([]);
    },
  },
  {
    id: "HMM-02",
    name: "anon_read",
    run: (scene) => {
      const { process } = scene;
      process.map(0, N);
      process.fill(2, N - 2, k);
      process.protect(0, N, PROT_READ);
      process.read(1, 1);
      const result = scene.open().read(0, N);
      cold(result, N);
      expect(result.data).toEqual([0, 0, ...valuesOf(N - 2, k, 2)]);
    },
  },
  {
    id: "HMM-03",
    name: "anon_read_prot",
    run: (scene) => {
      const { process } = scene;
      process.map(0, N);
      process.fill(0, N, k);
      process.protect(0, N, PROT_NONE);
      const { ret, data } = scene.open().read(0, N);
      expect({ ret, data }).toEqual({ ret: -EFAULT, data: [] });
      process.protect(0, N, PROT_READ);
      expect(process.read(0, N)).toEqual(valuesOf(N, k));
    },
  },
  {
    id: "HMM-04",
    name: "anon_write",
    run: (scene) => {
      scene.process.map(0, N);
      cold(scene.open().write(0, N, k), N);
      expect(scene.process.read(0, N)).toEqual(valuesOf(N, k));
    },
  },
  {
    id: "HMM-05",
    name: "anon_write_prot",
    run: (scene) => {
      const { process } = scene;
      process.map(0, N, { prot: PROT_READ });
      const device = scene.open();
      cold(device.read(0, 1), 1);
      const refused = device.write(0, N, k);
      expect(refused.ret).toBe(-EPERM);
      expect(process.read(0, N)).toEqual(valuesOf(N, () => 0));
      process.protect(0, N, PROT_RW);
      cold(device.write(0, N, k), N);
      expect(process.read(0, N)).toEqual(valuesOf(N, k));
    },
  },
  ...[false, true].map((thp): HmmTest => ({
    id: "HMM-06",
    name: `anon_write_child [${thp ? "thp" : "base pages"}]`,
    thp,
    since: thp ? [7, 0] : [5, 0],
    run: (scene) => {
      scene.process.map(0, N, { huge: thp });
      scene.process.fill(0, N, k);
      childWrites({ process: scene.process, open: (child) => scene.open(child) }, false);
    },
  })),
  {
    id: "HMM-06",
    name: "anon_write_child [migrated]",
    since: [7, 0],
    run: (scene) => {
      const { process } = scene;
      process.map(0, N);
      process.fill(0, N, k);
      const { ret, cpages } = scene.open().migrateToDevice(0, N);
      expect({ ret, cpages }).toEqual({ ret: 0, cpages: N });
      const child = process.fork();
      expect(child.read(0, N)).toEqual(valuesOf(N, k));
      cold(scene.open(child).write(0, N, notK), N);
      child.exit();
      expect(process.read(0, N)).toEqual(valuesOf(N, k));
    },
  },
  {
    id: "HMM-07",
    name: "anon_write_child_shared",
    run: (scene) => {
      scene.process.map(0, N, { shared: true });
      scene.process.fill(0, N, k);
      childWrites({ process: scene.process, open: (child) => scene.open(child) }, true);
    },
  },
  {
    id: "HMM-08",
    name: "anon_write_huge",
    thp: true,
    run: (scene) => {
      scene.process.map(0, N, { huge: true });
      cold(scene.open().write(0, 512, k), 512);
      expect(scene.process.read(0, 512)).toEqual(valuesOf(512, k));
    },
  },
  {
    id: "HMM-09",
    name: "anon_write_hugetlbfs",
    run: (scene) => {
      scene.process.map(0, 512, { hugetlb: true });
      cold(scene.open().write(0, 512, k), 512);
      expect(scene.process.read(0, 512)).toEqual(valuesOf(512, k));
    },
  },
  {
    id: "HMM-10",
    name: "file_read",
    run: (scene) => {
      scene.process.map(0, 16, { prot: PROT_READ, shared: true, file: scene.file(16, k) });
      const result = scene.open().read(0, 16);
      cold(result, 16);
      expect(result.data).toEqual(valuesOf(16, k));
    },
  },
  {
    id: "HMM-11",
    name: "file_write",
    run: (scene) => {
      const file = scene.file(16, () => 0);
      scene.process.map(0, 16, { shared: true, file });
      cold(scene.open().write(0, 16, k), 16);
      expect(scene.process.read(0, 16)).toEqual(valuesOf(16, k));
      expect(scene.pread(file, 16)).toEqual(valuesOf(16, k));
    },
  },
  {
    id: "HMM-12",
    name: "anon_read_multiple",
    run: (scene) => {
      const device = scene.open();
      for (let round = 0; round < 10; round++) {
        const value = (page: number): number => k(page + round);
        scene.process.map(0, N);
        scene.process.fill(0, N, value);
        const result = device.read(0, N);
        cold(result, N);
        expect(result.data).toEqual(valuesOf(N, value));
        scene.process.unmap(0, N);
      }
    },
  },
  {
    id: "HMM-13",
    name: "anon_teardown",
    run: (scene) => {
      const device = scene.open();
      // The original sleeps for a random time; here the upper half goes before each chunk in turn, and after the last.
      for (let when = 0; when <= N / 32; when++) {
        scene.process.map(0, N);
        scene.process.fill(0, N, k);
        const result = device.read(0, N, (chunk) => {
          if (chunk === when) scene.process.unmap(N / 2, N / 2);
        });
        if (result.ret === 0) cold(result, N);
        expect(result.data).toEqual(valuesOf(result.data.length, k));
        scene.process.unmap(0, N);
      }
    },
  },
];
