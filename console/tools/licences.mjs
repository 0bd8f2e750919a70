// Writes the licences of what is built in beside it, as they ask: dist/assets/licences.txt.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const root = new URL("../", import.meta.url);
const { dependencies } = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));
const texts = new Map();

function gather(name) {
  const folder = new URL(`node_modules/${name}/`, root);
  if (texts.has(name) || name.startsWith("@types/") || !existsSync(folder)) return;
  const { version, license, dependencies: needed = {} } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  const text = file ? readFileSync(new URL(file, folder), "utf8").trim() : `Licence: ${license}`;
  texts.set(name, `${name} ${version}\n\n${text}\n`);
  for (const one of Object.keys(needed)) gather(one);
}

for (const name of ["svelte", ...Object.keys(dependencies)]) gather(name);
writeFileSync(new URL("dist/assets/licences.txt", root), [...texts.values()].sort().join(`\n${"-".repeat(72)}\n\n`));
