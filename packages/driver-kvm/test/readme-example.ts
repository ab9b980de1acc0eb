import kvm from "@mmu-notifier/driver-kvm";
import { Workbench, WRITABLE_CLEAN } from "@mmu-notifier/sdk";

const bench = new Workbench({ profile: "v6.4+upgrade-event" });
bench.map(3, WRITABLE_CLEAN);
const guest = bench.device(kvm, { filter: false }).bind(bench.mm);
bench.access(guest, 3, "read");
const { faults } = bench.access(guest, 3, "write");
console.log(faults, guest.context.costs.of("selfRetries")); // 2 1: with the filter it is 1 0
