import { fileURLToPath } from "node:url";
import { defineConfig } from "vitepress";
import { readmePages } from "./readme-pages.js";
import { nav, sidebar } from "./sidebar.js";

const docs = fileURLToPath(new URL("..", import.meta.url));

export default defineConfig({
  title: "mmu-notifier",
  description: "A workbench for Linux memory management, MMU notifiers and the drivers of secondary MMUs",
  lang: "en",
  cleanUrls: true,
  lastUpdated: false,
  markdown: { config: readmePages },
  themeConfig: {
    nav: nav(docs),
    sidebar: sidebar(docs),
    outline: [2, 3],
    // The index is built into the site: search works offline.
    search: { provider: "local" },
  },
});
