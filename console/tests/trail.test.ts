import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Entry } from "../src/api/audit";
import {
  fromBase64, isSignedBy, keepsCommitment, leafHash, lineOf, readCheckpointText, readKeyText, readProofText, rootFrom, rootOf, toBase64, type Hash,
} from "../src/pages/audit/trail";

const NAME = "renkei/1/default";
const sha256 = (...parts: (Uint8Array | string)[]): Buffer => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

function entry(index: number): Entry {
  const committed = `{"label":"監査 ${index}"}`;
  const salt = Buffer.alloc(16, index);
  return {
    index, time: "2026-11-27T09:00:00Z", who: "local-operator", what: "token.added", subject: `t${index}`,
    commitment: sha256(salt, committed).toString("base64"), salt: salt.toString("base64"), committed, details: null,
  };
}

/** The trail as a server would sign it, made with another implementation. */
function server(count: number): { entries: Entry[]; keyText: string; checkpoint: string; prove: (index: number) => Buffer[] } {
  const entries = Array.from({ length: count }, (_, index) => entry(index));
  const leaf = (index: number): Buffer => sha256(Buffer.of(0), lineOf(entries[index] as Entry));
  const half = (size: number): number => 2 ** Math.ceil(Math.log2(size) - 1);
  const tree = (from: number, to: number): Buffer =>
    to - from === 1 ? leaf(from) : sha256(Buffer.of(1), tree(from, from + half(to - from)), tree(from + half(to - from), to));
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const typed = Buffer.concat([Buffer.of(1), publicKey.export({ format: "der", type: "spki" }).subarray(-32)]);
  const id = sha256(`${NAME}\n`, typed).subarray(0, 4);
  const body = `${NAME}\n${count}\n${tree(0, count).toString("base64")}\n`;
  const signature = Buffer.concat([id, sign(null, Buffer.from(body), privateKey)]).toString("base64");
  const prove = (index: number): Buffer[] => {
    const proof: Buffer[] = [];
    let [from, to] = [0, count];
    while (to - from > 1) {
      const middle = from + half(to - from);
      if (index < middle) [proof[proof.length], to] = [tree(middle, to), middle];
      else [proof[proof.length], from] = [tree(from, middle), middle];
    }
    return proof.reverse();
  };
  return { entries, keyText: `${NAME}+${id.toString("hex")}+${typed.toString("base64")}\n`, checkpoint: `${body}\n\u2014 ${NAME} ${signature}\n`, prove };
}

const hashes = (all: Buffer[]): Hash[] => all.map((hash) => fromBase64(hash.toString("base64")));

describe("the trail", () => {
  it.each([1, 2, 3, 7, 8, 13])("of %i entries is verified whole and entry by entry", async (count) => {
    const { entries, keyText, checkpoint, prove } = server(count);
    const [key, opened] = [await readKeyText(keyText), readCheckpointText(checkpoint)];
    if (!key || !opened) throw new Error("key and checkpoint are well formed");
    expect(await isSignedBy(opened, key)).toBe(true);
    const leaves = await Promise.all(entries.map(leafHash));
    expect(toBase64(await rootOf(leaves))).toBe(opened.root);
    for (const one of entries) {
      const proof = readProofText(`c2sp.org/tlog-proof@v1\nindex ${one.index}\n${prove(one.index).map((hash) => `${hash.toString("base64")}\n`).join("")}\n${checkpoint}`);
      const root = await rootFrom(await leafHash(one), one.index, count, proof?.hashes ?? []);
      expect([proof?.index, proof?.checkpoint, root && toBase64(root)]).toEqual([one.index, checkpoint, opened.root]);
      expect(await keepsCommitment(one)).toBe(true);
    }
  });

  it("shows one changed letter, one missing entry, one false place and one other signer", async () => {
    const { entries, keyText, checkpoint, prove } = server(7);
    const [key, opened] = [await readKeyText(keyText), readCheckpointText(checkpoint)];
    const stranger = await readKeyText(server(1).keyText);
    const [first, second] = entries;
    if (!key || !stranger || !opened || !first || !second) throw new Error("all are well formed");
    const root = async (all: Entry[]): Promise<string> => toBase64(await rootOf(await Promise.all(all.map(leafHash))));
    expect(await root([{ ...first, who: "somebody" }, ...entries.slice(1)])).not.toBe(opened.root);
    expect(await root(entries.slice(1))).not.toBe(opened.root);
    const led = await rootFrom(await leafHash(first), 1, 7, hashes(prove(0)));
    expect(led && toBase64(led)).not.toBe(opened.root);
    expect(await rootFrom(await leafHash(first), 0, 7, hashes(prove(0)).slice(1))).toBeUndefined();
    expect(await isSignedBy(opened, stranger)).toBe(false);
    expect(await isSignedBy({ ...opened, body: opened.body.replace("\n7\n", "\n8\n") }, key)).toBe(false);
    expect(await keepsCommitment({ ...first, committed: "{}" })).toBe(false);
    expect(await keepsCommitment({ ...first, salt: null, committed: null })).toBeUndefined();
  });

  it("reads no text of another form", async () => {
    const { keyText, checkpoint } = server(2);
    expect(await readKeyText(keyText.replace(/\+[0-9a-f]{8}\+/, "+00000000+"))).toBeUndefined();
    expect(await readKeyText("nothing")).toBeUndefined();
    expect(readCheckpointText(checkpoint.replace("\n2\n", "\n02\n"))).toBeUndefined();
    expect(readCheckpointText("")).toBeUndefined();
    expect(readProofText(`c2sp.org/tlog-proof@v2\nindex 0\n\n${checkpoint}`)).toBeUndefined();
  });
});
