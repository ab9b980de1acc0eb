import type { Command } from "commander";
import type { Context } from "../context.js";
import { EXIT_OK } from "../errors.js";
import { shippedRegistry } from "../registry.js";
import { renderStory } from "../story/render-story.js";
import { tellStory } from "../story/story.js";

export function configure(command: Command, context: Context, done: (exitCode: number) => void): void {
  command
    .option("--json", "print the same as one JSON object")
    .addHelpText("after", "\nExamples:\n  mmun\n  mmun story --json")
    .action(async ({ json = false }: { readonly json?: boolean }) => {
      const story = await tellStory(await shippedRegistry());
      context.print(json ? JSON.stringify(story, undefined, 2) : renderStory(story, context));
      done(EXIT_OK);
    });
}
