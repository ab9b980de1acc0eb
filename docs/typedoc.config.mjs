// Documents every public package that has a public face; a package added to packages/ needs no line here.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const packages = fileURLToPath(new URL("../packages", import.meta.url));

function isPublic(name) {
  const manifest = `${packages}/${name}/package.json`;
  if (!existsSync(manifest) || !existsSync(`${packages}/${name}/src/index.ts`)) return false;
  return JSON.parse(readFileSync(manifest, "utf8")).private !== true;
}

// The sdk exports parts of the packages below again; comments of these link to their own package.
const externalSymbolLinkMappings = Object.fromEntries(
  readdirSync(packages)
    .filter(isPublic)
    .map((name) => [`@mmu-notifier/${name}`, { "*": `/api/@mmu-notifier/${name}/` }]),
);

const validation = { notExported: false, invalidLink: true, notDocumented: false };

/** @type {import("typedoc").TypeDocOptions} */
export default {
  entryPointStrategy: "packages",
  entryPoints: readdirSync(packages)
    .filter(isPublic)
    .map((name) => `../packages/${name}`),
  // Type errors are the business of `npm run typecheck`; a reference can be written in spite of them.
  packageOptions: {
    entryPoints: ["src/index.ts"],
    tsconfig: "tsconfig.json",
    skipErrorChecking: true,
    disableSources: true,
    // What a class inherits from RxJS is described there.
    excludeExternals: true,
    // A class may be public and take arguments that only the package itself can make.
    validation,
    externalSymbolLinkMappings,
  },
  plugin: ["typedoc-plugin-markdown", "typedoc-vitepress-theme"],
  logLevel: "Warn",
  out: "api",
  docsRoot: ".",
  readme: "none",
  validation,
  externalSymbolLinkMappings,
  disableSources: true,
};
