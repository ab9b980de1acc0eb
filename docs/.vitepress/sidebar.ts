import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { DefaultTheme } from "vitepress";

/** The sections of the site in reading order: a folder of docs/ and the name shown for it. */
const SECTIONS = [
  ["guide", "Guide"],
  ["packages", "Packages"],
  ["examples", "Examples"],
  ["decisions", "Decisions"],
  ["reference", "Reference"],
] as const;

interface Page {
  readonly text: string;
  readonly link: string;
  readonly order: number;
}

/**
 * Reads a page's title from its first heading, and its place from `order:` in the front matter.
 * Pages without an order come after those that have one, by file name.
 */
function readPage(docs: string, folder: string, file: string): Page {
  const content = readFileSync(join(docs, folder, file), "utf8");
  const name = file.replace(/\.md$/, "");
  const title = /^# (.+)$/m.exec(content)?.[1];
  const order = /^---\n[^]*?^order: *(\d+)$[^]*?^---$/m.exec(content)?.[1];
  return {
    text: title === undefined ? name : title.replaceAll("`", ""),
    link: name === "index" ? `/${folder}/` : `/${folder}/${name}`,
    order: name === "index" ? -1 : order === undefined ? Number.MAX_SAFE_INTEGER : Number(order),
  };
}

function pagesOf(docs: string, folder: string): Page[] {
  if (!existsSync(join(docs, folder))) return [];
  return readdirSync(join(docs, folder))
    .filter((file) => file.endsWith(".md"))
    .sort()
    .map((file) => readPage(docs, folder, file))
    .sort((a, b) => a.order - b.order);
}

/** The pages that typedoc has written, once it has run. */
function apiSection(docs: string): DefaultTheme.SidebarItem[] {
  const file = join(docs, "api", "typedoc-sidebar.json");
  if (!existsSync(file)) return [];
  const items = JSON.parse(readFileSync(file, "utf8")) as DefaultTheme.SidebarItem[];
  return items.length === 0 ? [] : [{ text: "API", link: "/api/", collapsed: true, items }];
}

/** A page that is added to one of the sections shows up here without any list being edited. */
export function sidebar(docs: string): DefaultTheme.SidebarItem[] {
  const written = SECTIONS.map(([folder, text]) => ({ text, collapsed: false, items: pagesOf(docs, folder) }));
  return [...written.filter((section) => section.items.length > 0), ...apiSection(docs)];
}

/** One entry in the top bar for every section that has pages: its first page. */
export function nav(docs: string): DefaultTheme.NavItem[] {
  const links = SECTIONS.flatMap(([folder, text]) => {
    const first = pagesOf(docs, folder)[0];
    return first === undefined ? [] : [{ text, link: first.link, activeMatch: `^/${folder}/` }];
  });
  return apiSection(docs).length === 0 ? links : [...links, { text: "API", link: "/api/", activeMatch: "^/api/" }];
}
