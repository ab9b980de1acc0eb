#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { COMMANDS } from "./commands/index.js";
import { type Context, processContext } from "./context.js";
import { EXIT_OK, EXIT_USAGE } from "./errors.js";
import { complain } from "./output/complain.js";
import { VERSION } from "./version.js";

const EXAMPLES = `
Examples:
  mmun                                  the story: pages that become writable, and the devices that never hear of it
  mmun run upgrade.mm                   what a script does, op by op
  mmun run upgrade.mm --kernel v6.4+upgrade-event --driver arm-smmu
  mmun list drivers                     every driver that is installed, and where it came from

Exit codes: 0 all is well, 1 something was found, 2 wrong use or input.`;

/** The command that is asked for, or asked about. */
function wantedOf(argv: readonly string[]): string | undefined {
  return argv.find((word) => !word.startsWith("-") && word !== "help");
}

/** The command line, or of one with an unknown command that word alone: it is what is wrong, whatever else is asked. */
function toParse(argv: readonly string[]): readonly string[] {
  const wanted = wantedOf(argv);
  return wanted === undefined || COMMANDS.some(({ name }) => name === wanted) ? argv : [wanted];
}

/** Builds the program; only the command that is asked for is loaded. */
async function program(argv: readonly string[], context: Context, done: (exitCode: number) => void): Promise<Command> {
  const root = new Command("mmun")
    .description(
      "A workbench for MMU notifiers: Linux memory management, the bus, and the secondary MMUs that hang on it.",
    )
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .addHelpText("after", EXAMPLES)
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput({ outputError: () => undefined, writeOut: (text) => context.print(text.trimEnd()) });
  const wanted = wantedOf(argv);
  for (const { name, summary, load } of COMMANDS) {
    const command = root.command(name).summary(summary).description(summary);
    command
      .exitOverride()
      .configureOutput({ outputError: () => undefined, writeOut: (text) => context.print(text.trimEnd()) });
    if (name === wanted) (await load()).configure(command, context, done);
  }
  return root;
}

/** Options that ask about the program itself; everything else without a command is about the story. */
const ABOUT = new Set(["-h", "--help", "-V", "--version", "help"]);

/** The command line with the default command spelled out. */
function withDefault(argv: readonly string[]): readonly string[] {
  const named = argv.some((word) => !word.startsWith("-") || ABOUT.has(word));
  return named ? argv : ["story", ...argv];
}

async function main(argv: readonly string[]): Promise<number> {
  const context = processContext();
  let exitCode = EXIT_OK;
  try {
    const root = await program(argv, context, (code) => (exitCode = code));
    await root.parseAsync(toParse(argv), { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT_OK;
      context.warn(complain(error.message.replace(/^error: /, "")));
      return EXIT_USAGE;
    }
    context.warn(complain(error));
    return EXIT_USAGE;
  }
}

// A reader that closes the pipe early (`mmun list | head`) has seen enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT_OK);
  throw error;
});
process.exitCode = await main(withDefault(process.argv.slice(2)));
