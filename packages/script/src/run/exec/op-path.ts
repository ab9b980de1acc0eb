import type { Path } from "@mmu-notifier/steps";
import type { Op } from "../../ops/op.js";
import type { Outcome } from "../results.js";
import { access, kernelSide } from "./access.js";
import * as addressSpace from "./address-space.js";
import type { Environment } from "./environment.js";
import * as files from "./files.js";
import * as processes from "./processes.js";
import * as system from "./system.js";
import * as userfaultfd from "./userfaultfd.js";

/** The path of an op that the process or a child executes. */
export function opPath(env: Environment, op: Exclude<Op, { kind: "device-access" }>): Path<Outcome> {
  switch (op.kind) {
    case "map":
      return addressSpace.map(env, op);
    case "mapx":
      return addressSpace.mapx(env, op);
    case "unmap":
      return addressSpace.unmap(env, op);
    case "unmapx":
      return addressSpace.unmapx(env, op);
    case "protect":
      return addressSpace.protect(env, op);
    case "protectx":
      return addressSpace.protectx(env, op);
    case "remap":
      return addressSpace.remap(env, op);
    case "advise":
      return addressSpace.advise(env, op);
    case "advisex":
      return addressSpace.advisex(env, op);
    case "padvise":
      return addressSpace.padvise(env, op);
    case "mlock":
      return addressSpace.mlock(env, op);
    case "munlock":
      return addressSpace.munlock(env, op);
    case "mseal":
      return addressSpace.mseal(env, op);
    case "msync":
      return addressSpace.msync(env, op);
    case "mincore":
      return addressSpace.mincore(env, op);
    case "rfp":
      return addressSpace.rfp(env, op);
    case "create":
      return files.create(env, op);
    case "ftrunc":
      return files.truncate(env, op);
    case "fpunch":
    case "fzero":
    case "fcollapse":
      return files.fallocate(env, op);
    case "fwrite":
      return files.write(env, op);
    case "fread":
      return files.read(env, op);
    case "fdrop":
      return files.drop(env, op);
    case "fsync":
      return files.fsync(env, op);
    case "access":
      return access(env, op);
    case "kread":
    case "kwrite":
    case "pmread":
    case "pmwrite":
    case "pvread":
    case "pvwrite":
      return kernelSide(env, op);
    case "fork":
      return processes.fork(env, op);
    case "cexec":
      return processes.exec(env, op);
    case "reap":
      return processes.reap(env, op);
    case "exit":
      return processes.exit(env);
    case "pin":
      return system.pin(env, op);
    case "unpin":
      return system.unpin(env);
    case "openvm":
      return system.openVm(env);
    case "closevm":
      return system.closeVm(env);
    case "ckvm":
      return system.childVm(env, op);
    case "mbind":
      return addressSpace.mbind(env, op);
    case "movepages":
      return addressSpace.movePages(env, op);
    case "clearrefs":
      return addressSpace.clearrefs(env, op);
    case "mrelease":
      return processes.mrelease(env, op);
    case "uffd":
      return userfaultfd.open(env, op);
    case "uffdreg":
      return userfaultfd.register(env, op);
    case "uffdunreg":
      return userfaultfd.unregister(env, op);
    case "uffdwp":
      return userfaultfd.writeProtect(env, op);
    case "uffdzero":
      return userfaultfd.zeropage(env, op);
    case "uffdcopy":
      return userfaultfd.copy(env, op);
    case "uffdmove":
      return userfaultfd.move(env, op);
    case "pscan":
      return userfaultfd.scan(env, op);
    case "exclusive":
      return system.exclusive(env, op);
    case "migratevma":
      return system.migrate(env, op);
    case "ksmrun":
      return system.ksmd(env);
    case "ksm":
      return system.ksm(env, op);
    case "khuge":
      return system.khugepaged(env);
    case "swapoff":
      return system.swap(env, false);
    case "swapon":
      return system.swap(env, true);
    case "sync":
      return system.sync(env);
    case "drop":
      return system.drop(env);
    case "spin":
      return system.spin(env, op);
    case "sysfs":
      return system.sysfs(env, op);
    case "wait":
      return system.timePasses();
  }
}
