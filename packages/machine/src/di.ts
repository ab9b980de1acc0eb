// tsyringe reads Reflect metadata when it is imported, so this import comes first and tsyringe is imported nowhere else.
import "reflect-metadata";

export { type DependencyContainer, instanceCachingFactory, type InjectionToken } from "tsyringe";
import { container } from "tsyringe";
import type { DependencyContainer } from "tsyringe";

/** A container with nothing in it. The global one is never used: two machines share nothing. */
export function emptyContainer(): DependencyContainer {
  return container.createChildContainer();
}
