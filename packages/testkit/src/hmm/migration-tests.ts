import {
  EINVAL,
  ENOENT,
  MADV_FREE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
} from "@mmu-notifier/core";
import { expect } from "vitest";
import type { DmirrorResult } from "./dmirror.js";
import { PROT_RW } from "./process.js";
import type { HmmScene } from "./scene.js";
import { type HmmTest, k, N, valuesOf } from "./table.js";

const HUGE = 512;
const QUARTER = 128;

/** 0, all pages, and the device reads what was in them. */
function moved(result: DmirrorResult, pages: number, value: (page: number) => number): void {
  expect({ ret: result.ret, cpages: result.cpages }).toEqual({ ret: 0, cpages: pages });
  expect(result.data).toEqual(valuesOf(pages, value));
}

/** A filled buffer. */
function filled(scene: HmmScene, pages: number, huge = false): void {
  scene.process.map(0, pages, { huge });
  scene.process.fill(0, pages, k);
}

/** §2.3: migration to memory of the device that the CPU reaches, and back. */
export const migrationTests: readonly HmmTest[] = [
  {
    id: "HMM-17",
    name: "migrate [coherent]",
    run: (scene) => {
      filled(scene, N);
      moved(scene.open().migrateToDevice(0, N), N, k);
    },
  },
  {
    id: "HMM-18",
    name: "migrate_fault [coherent]",
    run: (scene) => {
      filled(scene, N);
      const device = scene.open();
      moved(device.migrateToDevice(0, N), N, k);
      expect(scene.process.read(0, N / 2)).toEqual(valuesOf(N / 2, k));
      moved(device.migrateToDevice(0, N), N, k);
    },
  },
  {
    id: "HMM-20",
    name: "migrate_shared",
    run: (scene) => {
      scene.process.map(0, N, { shared: true });
      scene.process.fill(0, N, k);
      expect(scene.open().migrateToDevice(0, N).ret).toBe(-ENOENT);
      expect(scene.process.read(0, N)).toEqual(valuesOf(N, k));
    },
  },
  {
    id: "HMM-21",
    name: "migrate_mixed [all but the foreign page]",
    run: (scene) => {
      const { process } = scene;
      process.map(0, 6, { prot: 0 });
      const device = scene.open();
      expect(device.migrateToDevice(0, 6).ret).toBe(-EINVAL);
      process.unmap(1, 1);
      expect(device.migrateToDevice(0, 3).ret).toBe(-EINVAL);
      process.protect(2, 1, PROT_READ);
      process.read(2, 1);
      process.protect(3, 1, PROT_RW);
      process.fill(3, 1, k);
      process.protect(3, 1, PROT_READ);
      process.protect(4, 2, PROT_RW);
      process.fill(4, 2, k);
      const { ret, cpages } = device.migrateToDevice(2, 4);
      expect({ ret, cpages }).toEqual({ ret: 0, cpages: 4 });
    },
  },
  {
    id: "HMM-22",
    name: "migrate_multiple [coherent, one way]",
    run: (scene) => {
      const device = scene.open();
      for (let round = 0; round < 10; round++) {
        filled(scene, N);
        moved(device.migrateToDevice(0, N), N, k);
        expect(scene.process.read(0, N)).toEqual(valuesOf(N, k));
        scene.process.unmap(0, N);
      }
    },
  },
  {
    id: "HMM-23",
    name: "double_map",
    run: (scene) => {
      filled(scene, 6);
      scene.process.protect(0, 6, PROT_READ);
      const [first, second] = [scene.open(), scene.open()];
      const all = { ret: 0, cpages: 6, faults: 1, data: valuesOf(6, k) };
      expect(first.read(0, 6)).toEqual(all);
      expect(second.read(0, 6)).toEqual(all);
      moved(second.migrateToDevice(0, 6), 6, k);
      // The move took the first device's entries away: it looks again, once.
      expect(first.read(0, 6)).toEqual(all);
    },
  },
  {
    id: "HMM-24",
    name: "migrate_anon_huge_empty",
    thp: true,
    since: [7, 0],
    run: (scene) => {
      scene.process.map(0, HUGE, { prot: PROT_READ, huge: true });
      moved(scene.open().migrateToDevice(0, HUGE), HUGE, () => 0);
    },
  },
  {
    id: "HMM-25",
    name: "migrate_anon_huge_zero",
    thp: true,
    since: [7, 0],
    run: (scene) => {
      scene.process.map(0, HUGE, { prot: PROT_READ, huge: true });
      scene.process.read(0, 1);
      moved(scene.open().migrateToDevice(0, HUGE), HUGE, () => 0);
      expect(scene.process.read(0, HUGE)).toEqual(valuesOf(HUGE, () => 0));
    },
  },
  {
    id: "HMM-26",
    name: "migrate_anon_huge_free",
    thp: true,
    since: [7, 0],
    run: (scene) => {
      filled(scene, HUGE, true);
      moved(scene.open().migrateToDevice(0, HUGE), HUGE, k);
      scene.process.advise(0, HUGE, MADV_FREE);
    },
  },
  {
    id: "HMM-27",
    name: "migrate_anon_huge_fault",
    thp: true,
    since: [7, 0],
    run: (scene) => {
      filled(scene, HUGE, true);
      moved(scene.open().migrateToDevice(0, HUGE), HUGE, k);
      expect(scene.process.read(0, HUGE)).toEqual(valuesOf(HUGE, k));
    },
  },
  ...[true, false].flatMap((thp) =>
    [0, QUARTER, 2 * QUARTER].map((hole): HmmTest => ({
      id: "HMM-28",
      name: `migrate_partial_unmap_fault [${thp ? "thp" : "base pages"}, hole at ${hole}]`,
      thp,
      since: [7, 0],
      run: (scene) => {
        filled(scene, HUGE, thp);
        moved(scene.open().migrateToDevice(0, HUGE), HUGE, k);
        scene.process.unmap(hole, HUGE / 2);
        expect(scene.process.read(0, hole)).toEqual(valuesOf(hole, k));
        const after = hole + HUGE / 2;
        expect(scene.process.read(after, HUGE - after)).toEqual(valuesOf(HUGE - after, k, after));
      },
    })),
  ),
  ...[true, false].flatMap((before) =>
    [0, MREMAP_DONTUNMAP].flatMap((more) =>
      [0, QUARTER, 2 * QUARTER].map((offset): HmmTest => ({
        id: "HMM-29",
        name: `migrate_remap_fault [${before ? "before" : "after"} the move, ${more === 0 ? "unmapped" : "dontunmap"}, offset ${offset}]`,
        thp: true,
        since: [7, 0],
        run: (scene) => {
          const { process } = scene;
          filled(scene, HUGE, true);
          const device = scene.open();
          const to = HUGE + offset;
          const remap = (): void => process.move(0, HUGE, to, MREMAP_MAYMOVE | MREMAP_FIXED | more);
          if (before) remap();
          const at = before ? to : 0;
          const { ret, cpages, data } = device.migrateToDevice(at, HUGE);
          expect({ ret, cpages, data }).toEqual({ ret: 0, cpages: HUGE, data: valuesOf(HUGE, k) });
          if (!before) remap();
          expect(process.read(to, HUGE)).toEqual(valuesOf(HUGE, k));
        },
      })),
    ),
  ),
  {
    id: "HMM-37",
    name: "hmm_cow_in_device",
    run: (scene) => {
      filled(scene, 4);
      const device = scene.open();
      moved(device.migrateToDevice(0, 4), 4, k);
      const child = scene.process.fork();
      scene.process.fill(0, 4, (page) => k(page + 4));
      child.exit();
      expect(device.snapshot(0, 4)).toEqual(["WRITE", "WRITE", "WRITE", "WRITE"]);
    },
  },
  {
    id: "HMM-38",
    name: "migrate_file_private",
    before: [7, 0],
    run: (scene) => {
      const file = scene.file(16, () => 0);
      scene.process.map(0, 16, { file });
      scene.process.fill(0, 16, k);
      moved(scene.open().migrateToDevice(0, 16), 16, k);
    },
  },
];
