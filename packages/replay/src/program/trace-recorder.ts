import { type MmuNotification, phases } from "@mmu-notifier/bus";
import type { AddressSpace } from "@mmu-notifier/machine";

/** Listens as the recording of a trace did: to every start of an invalidation. */
export function recordStarts(space: AddressSpace, listen: (notification: MmuNotification) => void): () => void {
  const subscription = space.notifications.named("trace recorder").pipe(phases("start")).subscribe(listen);
  return () => subscription.unsubscribe();
}
