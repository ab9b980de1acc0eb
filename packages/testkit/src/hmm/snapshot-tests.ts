import { PROT_READ } from "@mmu-notifier/core";
import { expect } from "vitest";
import { PROT_RW } from "./process.js";
import { type HmmTest, k } from "./table.js";

/** §2.2: what the page table holds, without a fault. */
export const snapshotTests: readonly HmmTest[] = [
  {
    id: "HMM-15",
    name: "snapshot [coherent]",
    run: (scene) => {
      const { process } = scene;
      process.map(0, 7, { prot: 0 });
      process.unmap(1, 1);
      process.protect(2, 1, PROT_READ);
      process.read(2, 1);
      process.protect(3, 1, PROT_RW);
      process.fill(3, 1, k);
      process.protect(3, 1, PROT_READ);
      process.protect(4, 3, PROT_RW);
      process.fill(4, 3, k);
      const [local, remote] = [scene.open(), scene.open()];
      expect(local.migrateToDevice(5, 1).cpages).toBe(1);
      expect(remote.migrateToDevice(6, 1).cpages).toBe(1);
      const faults = local.device.costs.of("faults");
      expect(local.snapshot(0, 7, remote)).toEqual([
        "ERROR",
        "ERROR",
        "ZERO|READ",
        "READ",
        "WRITE",
        "DEV_COHERENT_LOCAL|WRITE",
        "DEV_COHERENT_REMOTE|WRITE",
      ]);
      expect(local.device.costs.of("faults")).toBe(faults);
    },
  },
  {
    id: "HMM-16",
    name: "compound",
    run: (scene) => {
      scene.process.map(0, 512, { hugetlb: true });
      scene.process.fill(0, 512, k);
      const device = scene.open();
      expect(new Set(device.snapshot(0, 512))).toEqual(new Set(["WRITE|PMD"]));
      scene.process.protect(0, 512, PROT_READ);
      expect(new Set(device.snapshot(0, 512))).toEqual(new Set(["READ|PMD"]));
    },
  },
];
