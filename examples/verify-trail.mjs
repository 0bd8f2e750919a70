// Verifies an exported trail: node verify-trail.mjs DIR. Shares no line with the program that wrote it.
// Formats: C2SP signed-note, tlog-checkpoint; tree hashes: RFC 6962 section 2.1.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [dir] = process.argv.slice(2);
if (!dir) {
  console.error("Use: node verify-trail.mjs DIR");
  process.exit(2);
}
const read = (name) => readFileSync(join(dir, name), "utf8");
const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const fail = (why) => {
  console.error(`NOT VERIFIED: ${why}`);
  process.exit(1);
};

// The key: NAME+HASH+base64(1, 32 bytes of Ed25519).
const [, name, hash, encoded] = read("key").trim().match(/^(.*?)\+([0-9a-f]{8})\+(.*)$/) ?? fail("the key has another form");
const typed = Buffer.from(encoded, "base64");
const id = sha256(name, "\n", typed).subarray(0, 4);
if (typed[0] !== 1 || typed.length !== 33 || id.toString("hex") !== hash) fail("the key is no Ed25519 key of that name");
const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), typed.subarray(1)]);
const key = createPublicKey({ key: spki, format: "der", type: "spki" });

// The checkpoint: origin, size and root, an empty line, signatures.
const [text, signatures] = read("checkpoint").split("\n\n");
const signed = signatures.split("\n").some((line) => {
  const [dash, signer, value] = line.split(" ");
  const bytes = Buffer.from(value ?? "", "base64");
  const ours = dash === "\u2014" && signer === name && bytes.subarray(0, 4).equals(id);
  return ours && verify(null, Buffer.from(text + "\n"), key, bytes.subarray(4));
});
if (!signed) fail("the checkpoint is not signed by the key");
const [origin, size, root] = text.split("\n");
if (origin !== name) fail("the checkpoint is of another trail");

// The tree over the entries.
const entries = read("entries.ndjson").split("\n").slice(0, -1);
if (String(entries.length) !== size) fail(`the checkpoint is of ${size} entries, there are ${entries.length}`);
const leaf = (entry) => sha256(Buffer.of(0), entry);
const tree = (from, to) => {
  if (to - from === 1) return leaf(entries[from]);
  let half = 1;
  while (half * 2 < to - from) half *= 2;
  return sha256(Buffer.of(1), tree(from, from + half), tree(from + half, to));
};
const own = entries.length ? tree(0, entries.length) : sha256("");
if (own.toString("base64") !== root) fail("the entries are not those that were signed");
console.log(`verified: ${size} entries of ${origin}`);
