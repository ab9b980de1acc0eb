import { EPERM, PROT_READ } from "@mmu-notifier/core";
import { expect } from "vitest";
import type { TestProcess } from "./process.js";
import { type HmmTest, k, N, valuesOf } from "./table.js";

const next = (page: number): number => k(page) + 1;

/** Reads k, adds one to each, reads k + 1. */
function increment(process: TestProcess): void {
  expect(process.read(0, N)).toEqual(valuesOf(N, k));
  process.fill(0, N, next);
  expect(process.read(0, N)).toEqual(valuesOf(N, next));
}

/** §2.4: pages that are the device's alone until somebody touches them. */
export const exclusiveTests: readonly HmmTest[] = [
  {
    id: "HMM-33",
    name: "exclusive",
    run: (scene) => {
      scene.process.map(0, N);
      scene.process.fill(0, N, k);
      const device = scene.open();
      const { ret, cpages, data } = device.exclusive(0, N);
      expect({ ret, cpages, data }).toEqual({ ret: 0, cpages: N, data: valuesOf(N, k) });
      expect(device.checkExclusive(0, N), "while nobody touched them").toBe(-EPERM);
      increment(scene.process);
      expect(device.checkExclusive(0, N)).toBe(0);
    },
  },
  {
    id: "HMM-34",
    name: "exclusive_mprotect",
    run: (scene) => {
      scene.process.map(0, N);
      scene.process.fill(0, N, k);
      const device = scene.open();
      expect(device.exclusive(0, N).ret).toBe(0);
      scene.process.protect(0, N, PROT_READ);
      expect(device.write(0, N, next).ret).toBe(-EPERM);
    },
  },
  {
    id: "HMM-35",
    name: "exclusive_cow",
    run: (scene) => {
      scene.process.map(0, N);
      scene.process.fill(0, N, k);
      const device = scene.open();
      expect(device.exclusive(0, N).ret).toBe(0);
      const child = scene.process.fork();
      increment(scene.process);
      increment(child);
      child.exit();
    },
  },
];
