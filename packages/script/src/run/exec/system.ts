import {
  type AnonOrderSetting,
  dropCaches,
  EBUSY,
  ENOENT,
  ENXIO,
  khugepagedScan,
  ksmRun,
  ksmUnmergeAll,
  makeDeviceExclusive,
  migrateVma,
  PG_ANON,
  PG_HEAD,
  PG_HUGETLB,
  since,
  splitFolio,
  sysRegisterBuffers,
  sysSwapoff,
  sysSwapon,
  sysSync,
  sysUnregisterBuffers,
  userAccess,
} from "@mmu-notifier/core";
import { type Path, step } from "@mmu-notifier/steps";
import type { OpOf } from "../../ops/op.js";
import { ARENA_PAGE } from "../../script.js";
import { counted, type Outcome } from "../results.js";
import { address, type Environment, NO_CHILD, PAGE, threadOf } from "./environment.js";

/** io_uring_register(IORING_REGISTER_BUFFERS): a long-term write pin of every page, or of none. */
export function* pin({ k, t, state }: Environment, op: OpOf<"pin">): Path<Outcome> {
  const busy = yield step("ctx->user_bufs", () => state.pins.length);
  if (busy > 0) return counted(-EBUSY);
  const pages: number[] = [];
  const result = yield* sysRegisterBuffers(k, t, address(op.start), op.pages * PAGE, pages);
  if (result < 0) return counted(result);
  yield step("io_sqe_buffer_register", () => {
    for (const page of pages) state.addPin(page);
    return 0;
  });
  return { ret: 0 };
}

export function* unpin({ k, state }: Environment): Path<Outcome> {
  const pinned = yield step("ctx->user_bufs", () => state.pins.length);
  if (pinned === 0) return counted(-ENXIO);
  const pages: number[] = [];
  for (let i = 0; i < pinned; i++) pages.push(yield step("ctx->user_bufs", () => state.pins[i]!));
  yield* sysUnregisterBuffers(k, pages);
  yield step("io_sqe_buffers_unregister", () => {
    state.clearPins();
    return 0;
  });
  return { ret: 0 };
}

export function* openVm(env: Environment): Path<Outcome> {
  const subscription = yield* env.notifier.open(env.t.mm);
  if (subscription < 0) return counted(subscription);
  yield step("kvm: VM created", () => {
    env.state.setNotifier(subscription);
    return 0;
  });
  return { ret: 0 };
}

export function* closeVm(env: Environment): Path<Outcome> {
  const subscription = yield step("kvm: last reference", () => env.state.notifier);
  if (subscription === 0) return { ret: 0 };
  yield* env.notifier.close(subscription, env.t.mm);
  yield step("kvm: VM destroyed", () => {
    env.state.setNotifier(0);
    return 0;
  });
  return { ret: 0 };
}

/** A child opens a virtual machine of its own. */
export function* childVm(env: Environment, op: OpOf<"ckvm">): Path<Outcome> {
  const t = yield* threadOf(env, op.child);
  if (t === undefined) return NO_CHILD;
  const subscription = yield* env.notifier.open(t.mm);
  if (subscription < 0) return counted(subscription);
  yield step("kvm: VM created", () => {
    env.state.setChildNotifier(op.child, subscription);
    return 0;
  });
  return { ret: 0 };
}

/** A device driver's own number, which its ranges carry. */
const DEVICE_OWNER = 1;

export function* exclusive({ k, t }: Environment, op: OpOf<"exclusive">): Path<Outcome> {
  const page = yield* makeDeviceExclusive(k, t, ARENA_PAGE + op.page, DEVICE_OWNER);
  return page < 0 ? counted(page) : { ret: 0 };
}

export function* migrate({ k, t }: Environment, op: OpOf<"migratevma">): Path<Outcome> {
  return counted(yield* migrateVma(k, t, ARENA_PAGE + op.start, ARENA_PAGE + op.start + op.pages, DEVICE_OWNER));
}

/** ksmd until it has seen everything: pages that gave way to others. */
export function* ksm({ k, t }: Environment, op: OpOf<"ksm">): Path<Outcome> {
  return counted(yield* op.what === "merge" ? ksmRun(k, t) : ksmUnmergeAll(k, t));
}

/** The same by starting ksmd and waiting; writing to its knob returns nothing of interest. */
export function* ksmd({ k, t }: Environment): Path<Outcome> {
  yield* ksmRun(k, t);
  return { ret: 0 };
}

export function* khugepaged({ k, t }: Environment): Path<Outcome> {
  yield* khugepagedScan(k, t);
  return { ret: 0 };
}

export function* swap({ k, t }: Environment, on: boolean): Path<Outcome> {
  return counted(yield* on ? sysSwapon(k, t) : sysSwapoff(k, t));
}

export function* sync({ k, t }: Environment): Path<Outcome> {
  return counted(yield* sysSync(k, t));
}

export function* drop({ k, t }: Environment): Path<Outcome> {
  return counted(yield* dropCaches(k, t));
}

/** Size in KiB and new value of a knob of multi-size THP. */
const ANON_ORDER = /^\/sys\/kernel\/mm\/transparent_hugepage\/hugepages-(\d+)kB\/enabled$/;
const KIB_PER_PAGE = PAGE / 1024;

const SPLIT_HUGE_PAGES = /\/split_huge_pages$/;

/** Knobs that older kernels do not have, and the version they came with. */
const NEW_KNOBS: readonly (readonly [path: RegExp, major: number, minor: number])[] = [
  [/^\/sys\/kernel\/debug\/sched\/numa_balancing\//, 5, 13],
  [/\/transparent_hugepage\/hugepages-\d+kB\//, 6, 8],
];

/** Knobs whose writing does something at once; others are part of the machine's configuration and are taken without effect. */
export function* sysfs({ k, t }: Environment, op: OpOf<"sysfs">): Path<Outcome> {
  if (NEW_KNOBS.some(([path, major, minor]) => path.test(op.path) && !since(k.profile, major, minor)))
    return counted(-ENOENT);
  if (SPLIT_HUGE_PAGES.test(op.path)) yield* splitAll(k, t.cpu);
  const size = ANON_ORDER.exec(op.path);
  if (size !== null) yield* setAnonOrder(k, Math.log2(Number(size[1]) / KIB_PER_PAGE), op.value);
  return { ret: 0 };
}

const ANON_ORDER_SETTINGS: readonly string[] = ["always", "madvise", "inherit", "never"] satisfies AnonOrderSetting[];

function isAnonOrderSetting(value: string): value is AnonOrderSetting {
  return ANON_ORDER_SETTINGS.includes(value);
}

/** anon_enabled_store(). */
function* setAnonOrder(k: Environment["k"], order: number, value: string): Path {
  if (!Number.isInteger(order) || !isAnonOrderSetting(value)) return;
  yield step("anon_enabled_store", () => {
    k.anonOrders.set(order, value);
    return 0;
  });
}

/** split_huge_pages_all(): every anonymous compound page that lets itself be split. */
function* splitAll(k: Environment["k"], cpu: number): Path {
  const end = yield step("max_pfn", () => k.pages.segment.used);
  for (let pfn = 1; pfn < end; pfn++) {
    const huge = yield step("pfn_to_online_page", () => {
      const flags = k.pages.isLive(pfn) ? k.pages.flags(pfn) : 0;
      if ((flags & (PG_HEAD | PG_ANON | PG_HUGETLB)) !== (PG_HEAD | PG_ANON)) return 0;
      k.pages.get(pfn);
      return 1;
    });
    if (huge === 0) continue;
    yield* splitFolio(k, cpu, pfn);
    yield step("folio_put", () => {
      k.pages.put(pfn);
      return 0;
    });
  }
}

/** One round of accesses; how often they are repeated does not matter to a model without a clock. */
export function* spin({ k, t, value }: Environment, op: OpOf<"spin">): Path<Outcome> {
  for (let page = op.start; page < op.start + op.pages; page++)
    yield* userAccess(k, t, ARENA_PAGE + page, op.write ? "write" : "read", value);
  return { ret: 0 };
}

/** Nothing of the model moves with time. */
export function* timePasses(): Path<Outcome> {
  yield* [];
  return { ret: 0 };
}
