import { defineConfig } from "vitest/config";

// Tests read the sources of the packages, so no build has to come first.
const source = "@mmu-notifier/source";

export default defineConfig({
  resolve: { conditions: [source, "import", "module", "default"] },
  ssr: { resolve: { conditions: [source, "node", "import", "module", "default"] } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          setupFiles: ["scripts/test-seed.mjs"],
          // Nothing is kept in modules, so the files of a worker share them: importing costs more than most tests.
          isolate: false,
          // Vitest leaves one processor to others; of two that is half the machine.
          maxWorkers: "100%",
          // A slow machine must not fail a test.
          testTimeout: 120_000,
          hookTimeout: 120_000,
          include: ["packages/*/test/**/*.test.ts", "examples/*/test/**/*.test.ts", "scripts/test/**/*.test.mjs"],
          benchmark: { include: ["packages/*/bench/**/*.bench.ts"] },
        },
      },
    ],
    coverage: {
      provider: "v8",
      include: ["packages/*/src/**/*.ts"],
      thresholds: { lines: 80, branches: 80, functions: 80, statements: 80 },
    },
  },
});
