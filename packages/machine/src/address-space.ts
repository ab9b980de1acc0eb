import type { NotificationStream } from "@mmu-notifier/bus";
import type { Thread } from "@mmu-notifier/core";
import type { DependencyContainer } from "./di.js";
import { NOTIFICATIONS, THREAD } from "./tokens.js";

/**
 * A process of the machine: an mm, the CPU it runs on, and a container that knows both.
 *
 * @public
 */
export class AddressSpace {
  readonly name: string;
  /** Child of the machine's container: {@link THREAD} and {@link NOTIFICATIONS} are this address space's own. */
  readonly container: DependencyContainer;

  /** Who executes this process's paths. */
  readonly thread: Thread;

  constructor(name: string, thread: Thread, machine: DependencyContainer, notifications: () => NotificationStream) {
    this.name = name;
    this.thread = thread;
    this.container = machine.createChildContainer();
    this.container.registerInstance(THREAD, thread);
    this.container.register(NOTIFICATIONS, { useFactory: notifications });
  }

  /** Row of its mm in the kernel. */
  get mm(): number {
    return this.thread.mm;
  }

  /** The mm's notifications; subscribing registers a notifier. */
  get notifications(): NotificationStream {
    return this.container.resolve(NOTIFICATIONS);
  }
}
