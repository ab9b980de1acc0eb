import { AsidPool, DeviceMemory } from "@mmu-notifier/sdk";
import { step, waitFor } from "@mmu-notifier/steps";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";

const PASIDS = 3;
const QUEUED = 1;
const DONE = 0;

export const svaPasidFreedTooEarly: MuseumEntry = {
  id: "sva-pasid-freed-too-early",
  number: "F5",
  year: "2022",
  title: "a PASID goes back to the pool while the device still has work that carries it",
  source: "2667ed10d9f0 mm: Fix PASID use-after-free issue",
  class: "PASID reused (ABA)",
  swaps: "kernel",
  story:
    "The PASID of a process was freed in mmput(), when its last thread is gone. The driver unbinds later, when the file is closed. " +
    "In between another process gets the same PASID, its page table is entered under it, and old work of the first process reads the second one's memory.",
  scenario:
    "A pool of PASIDs (the sdk's), a PASID table, two address spaces with their page tables, one piece of queued work. The kernel's path is exchanged: the PASID is freed at mmput, or at the last mmdrop, after the driver's unbind.",
  expect: [{ verdict: "ISOLATION", object: "page 0", steps: 7 }],
  model: (variant) => {
    const scene = new Scene();
    const { mm, k, oracle } = scene;
    const other = scene.addMm();
    scene.map(0);
    scene.map(0, undefined, { mm: other });
    const pasids = new AsidPool(
      "pasids",
      new DeviceMemory(k.memory, "iommu").words("pasids", AsidPool.words(PASIDS)),
      PASIDS,
    );
    const mine = pasids.alloc();
    const table = Array.from({ length: PASIDS + 1 }, (_, pasid) =>
      scene.word(`PASID table[${pasid}]`, pasid === mine ? mm : 0),
    );
    const work = scene.word("work queue", QUEUED);
    const freePasid = step(`ioasid_free(${mine})`, () => {
      pasids.free(mine);
      return 0;
    });

    scene.task("exit", function* () {
      yield step("mmput: release clears the PASID entry", () => {
        table[mine]!.set(0);
        return 0;
      });
      if (variant === "buggy") yield freePasid;
      yield waitFor("close: unbind drains the device", () => work.get() === DONE);
      if (variant === "fixed") yield freePasid;
      return null;
    });
    scene.task("bind", function* () {
      const pasid = yield step("ioasid_alloc", () => pasids.alloc());
      yield step(`PASID table[${pasid}] = mm${other}`, () => {
        table[pasid]!.set(other);
        return 0;
      });
      return null;
    });
    scene.task("dev0", function* () {
      const walked = yield step(`PASID ${mine}: fetch the page table`, () => table[mine]!.get());
      const pfn = walked === 0 ? 0 : yield step("walk", () => oracle.frameOf(walked, 0));
      yield step(pfn === 0 ? "the work faults" : "dev0 reads page 0", () => {
        if (pfn !== 0) oracle.use({ by: "dev0", mm, vpn: 0, pfn, write: false });
        work.set(DONE);
        return 0;
      });
      return null;
    });
    return scene.model("a PASID changes hands", { reached: () => table.some((entry) => entry.get() === other) });
  },
};
