import { mkPte, ptePfn } from "@mmu-notifier/core";
import {
  abortOnFault,
  defineSecondaryMmu,
  F_TRANSLATION,
  InFlight,
  LEAF_READ,
  packLeaf,
  phases,
  spinUntil,
  WalkCache,
} from "@mmu-notifier/sdk";
import { step } from "@mmu-notifier/steps";
import { READ_ONLY } from "../../scene/entry-flags.js";
import { Scene } from "../../scene/scene.js";
import type { MuseumEntry } from "../entry.js";

/** A page of the kernel's half, in a table of its own. */
const KERNEL_PAGE = 4;
const TABLE = 4;
const ASID = 1;

export const vtdKernelPageTableStaleIotlb: MuseumEntry = {
  id: "vtd-kernel-page-table-stale-iotlb",
  number: "F10",
  year: "2025",
  title: "a table of the kernel's page tables is freed while an IOMMU's walk cache points to it",
  source: "e37d5a2d60a3 iommu/sva: invalidate stale IOTLB entries for kernel address space; 72f98ef9a4be",
  class: "missing notification, walk cache",
  swaps: "kernel",
  story:
    "With shared virtual addressing an IOMMU walks tables that contain the kernel's half. vfree() frees tables of that half, flushes the CPUs, and tells no notifier: kernel mappings have none. " +
    "The IOMMU's walk cache still points to the table. Whoever gets that memory next decides what the device reads.",
  scenario:
    "Page tables as objects that are freed and taken again, the sdk's walk cache and in-flight accesses. Another process takes the freed table. " +
    "The kernel's path is exchanged: free at once, or invalidate the walk caches of every SVA mm first.",
  expect: [
    { verdict: "UAF", object: "page table", steps: 7 },
    { verdict: "ISOLATION", object: "page 4", steps: 10 },
  ],
  model: (variant) => {
    const scene = new Scene();
    const { k, mm, oracle } = scene;
    const { tables } = k;
    const other = scene.addMm();
    scene.map(KERNEL_PAGE, READ_ONLY);
    const secret = k.pages.alloc();
    oracle.owns(secret, other);
    const upper = tables.ptepIn(k.mms.pgd(mm), tables.top, KERNEL_PAGE);
    const kernelTable = tables.tableOf(tables.find(k.mms.pgd(mm), 0, KERNEL_PAGE));
    let walkCache!: WalkCache;
    let inFlight!: InFlight;

    const device = scene.device(
      defineSecondaryMmu({
        name: "vt-d",
        sdk: 1,
        summary: "a walk cache over the CPU's page table",
        declares: {
          pageTable: "shared-walk",
          onMissingRight: "fault",
          resolvesFaultsInSoftware: false,
          reachedByBroadcast: [],
          filters: [],
        },
        create(context) {
          inFlight = new InFlight(context.memory, "walks");
          walkCache = new WalkCache(context, { entries: 2, span: TABLE, asid: () => ASID });
          return {
            translation: {
              *translate(request) {
                const { vpn } = request;
                const row = yield step("a walk begins", () => inFlight.use(ASID, vpn));
                request.hold(inFlight, row);
                let table = yield walkCache.lookup(request);
                if (table === 0) {
                  table = yield step("walk-read level 1", () => {
                    const entry = tables.get(upper);
                    return entry === 0 ? 0 : ptePfn(entry);
                  });
                  if (table !== 0) yield walkCache.insert(request, table);
                }
                const { held } = request;
                return yield step("walk-read level 0", () => {
                  if (table !== 0 && !tables.segment.isLive(table))
                    oracle.record("UAF", "page table", "the device walks a table that was freed");
                  const entry = table === 0 ? 0 : tables.get(tables.ptepIn(table, 0, vpn));
                  if (entry !== 0) return packLeaf(ptePfn(entry), 0, LEAF_READ);
                  held.end();
                  return F_TRANSLATION;
                });
              },
            },
            connection: context.notifications.pipe(phases("release")).subscribe(),
            fault: abortOnFault(),
            *unbind() {},
            entries: () => [],
          };
        },
      }),
    );
    scene.run(scene.access(device, KERNEL_PAGE, "read"));

    scene.task("vfree", function* () {
      yield scene.clear(KERNEL_PAGE);
      yield step("clear the entry of the table", () => {
        tables.set(upper, 0);
        return 0;
      });
      yield step("flush_tlb_kernel_range", () => 0);
      if (variant === "fixed") {
        yield step("iommu_sva_invalidate_kva_range", () => {
          inFlight.cover(ASID, KERNEL_PAGE, KERNEL_PAGE + TABLE);
          walkCache.invalidate(-1, KERNEL_PAGE, KERNEL_PAGE + TABLE);
          return 0;
        });
        yield spinUntil("its walks are over", () => inFlight.drained);
      }
      yield step("pagetable_free", () => {
        tables.free(kernelTable);
        return 0;
      });
      return null;
    });
    scene.task("other process", function* () {
      yield spinUntil("memory for a page table", () => !tables.segment.isLive(kernelTable));
      yield step("a table with its own pages", () => {
        const table = tables.create(0);
        tables.set(tables.ptepIn(table, 0, KERNEL_PAGE), mkPte(secret, READ_ONLY));
        return table;
      });
      return null;
    });
    scene.accesses(device, KERNEL_PAGE, "read");
    return scene.model("vfree under a device", { reached: () => tables.get(upper) === 0 });
  },
};
