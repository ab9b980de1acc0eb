import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");

/** What a run of the command left behind. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command, built from the sources as they are. */
export class Mmun {
  readonly #folder: string;
  readonly #main: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#main = join(folder, "main.js");
  }

  /** Bundles the packages; what they depend on stays outside and is found above. */
  static async build(): Promise<Mmun> {
    const folder = mkdtempSync(join(root, "node_modules/.mmun-test-"));
    const conditions = ["@mmu-notifier/source", "node", "import", "module", "default"];
    await build({
      configFile: false,
      root,
      logLevel: "silent",
      resolve: { conditions },
      ssr: { noExternal: /^@mmu-notifier\//, resolve: { conditions } },
      build: {
        ssr: true,
        target: "node20",
        outDir: folder,
        emptyOutDir: false,
        minify: false,
        rollupOptions: { input: join(root, "packages/cli/src/main.ts"), output: { entryFileNames: "main.js" } },
      },
    });
    return new Mmun(folder);
  }

  run(
    args: readonly string[],
    options: { readonly input?: string; readonly cwd?: string; readonly env?: Record<string, string> } = {},
  ): Outcome {
    const { status, stdout, stderr } = spawnSync(process.execPath, [this.#main, ...args], {
      encoding: "utf8",
      input: options.input ?? "",
      cwd: options.cwd ?? root,
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, CI: "", ...options.env },
    });
    return { code: status, stdout, stderr };
  }

  /** Starts the command and does not wait for it. */
  start(args: readonly string[]): ChildProcessWithoutNullStreams {
    return spawn(process.execPath, [this.#main, ...args], {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined },
    });
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
