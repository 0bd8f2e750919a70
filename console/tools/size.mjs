// Holds the budgets: what a page's first look loads, script and style, compressed. Fails when one is over.
import { gzipSync } from "node:zlib";
import { readFileSync } from "node:fs";

const DIST = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", DIST), "utf8"));
const PLAIN_KB = 120;
const MAP_KB = 420;
const budgets = { Start: PLAIN_KB, Now: MAP_KB, Operations: PLAIN_KB, Explore: PLAIN_KB, Sources: PLAIN_KB, Audit: PLAIN_KB, Health: PLAIN_KB, Admin: PLAIN_KB, Developers: PLAIN_KB };
/** Loaded by a page soon after it shows: counted with it. The map of an answer is on demand, as is its worker. */
const SOON = /node_modules\/uplot/;

const sizes = new Map();
const size = (file) => {
  if (!sizes.has(file)) sizes.set(file, gzipSync(readFileSync(new URL(file, DIST)), { level: 9 }).length);
  return sizes.get(file);
};

function gather(key, files, seen) {
  const chunk = manifest[key];
  if (!chunk || seen.has(key)) return;
  seen.add(key);
  for (const file of [chunk.file, ...(chunk.css ?? [])]) files.add(file);
  for (const needed of chunk.imports ?? []) gather(needed, files, seen);
  for (const later of chunk.dynamicImports ?? []) if (SOON.test(later)) gather(later, files, seen);
}

let isOver = false;
for (const [page, budget] of Object.entries(budgets)) {
  const key = Object.keys(manifest).find((name) => name.endsWith(`/${page}.svelte`));
  if (!key) throw new Error(`The build has no page ${page}.`);
  const files = new Set();
  const seen = new Set();
  gather("index.html", files, seen);
  gather(key, files, seen);
  const kb = [...files].reduce((sum, file) => sum + size(file), 0) / 1000;
  isOver ||= kb > budget;
  console.log(`${kb > budget ? "OVER " : "ok   "} ${page.padEnd(12)} ${kb.toFixed(1).padStart(6)} kB of ${budget}`);
}
process.exitCode = isOver ? 1 : 0;
