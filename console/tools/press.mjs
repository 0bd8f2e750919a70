// Lays a pressed copy beside each file of dist that is worth it; the server sends it to whoever takes gzip.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const DIST = new URL("../dist/", import.meta.url);
const WORTH_BYTES = 1024;

for (const name of readdirSync(DIST, { recursive: true, withFileTypes: true })) {
  if (!name.isFile() || !/\.(js|css|svg|txt|html)$/.test(name.name)) continue;
  const path = `${name.parentPath}/${name.name}`;
  const plain = readFileSync(path);
  if (plain.length >= WORTH_BYTES) writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
}
