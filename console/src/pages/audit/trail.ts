/**
 * Checks a trail in this browser, with WebCrypto and none of the server's code.
 * Tree hashes: RFC 6962 section 2.1. Texts: C2SP signed-note, tlog-checkpoint, tlog-proof.
 */
import type { Entry } from "../../api/audit";

export type Hash = Uint8Array<ArrayBuffer>;

export interface Checkpoint {
  origin: string;
  size: number;
  root: string;
  /** What was signed, and the signatures below it. */
  body: string;
  signatures: { name: string; bytes: Uint8Array<ArrayBuffer> }[];
}

export interface Key {
  name: string;
  id: Uint8Array<ArrayBuffer>;
  bytes: Uint8Array<ArrayBuffer>;
}

const utf8 = new TextEncoder();

export const fromBase64 = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
export const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

async function sha256(...parts: Uint8Array[]): Promise<Hash> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

/** The bytes of an entry as the tree holds them: one line, these members in this order. */
export const lineOf = ({ index, time, who, what, subject, commitment }: Entry): string =>
  JSON.stringify({ index, time, who, what, subject, commitment });

export const leafHash = (entry: Entry): Promise<Hash> => sha256(Uint8Array.of(0), utf8.encode(lineOf(entry)));
const nodeHash = (left: Hash, right: Hash): Promise<Hash> => sha256(Uint8Array.of(1), left, right);

/** The largest power of two that is smaller. */
function split(count: number): number {
  let half = 1;
  while (half * 2 < count) half *= 2;
  return half;
}

export async function rootOf(leaves: readonly Hash[]): Promise<Hash> {
  const [only] = leaves;
  if (!only) return sha256();
  if (leaves.length === 1) return only;
  const half = split(leaves.length);
  return nodeHash(await rootOf(leaves.slice(0, half)), await rootOf(leaves.slice(half)));
}

/** The root that an inclusion proof leads to; undefined where it has not the length that the tree asks for. */
export async function rootFrom(leaf: Hash, index: number, size: number, proof: readonly Hash[]): Promise<Hash | undefined> {
  if (size <= 1) return proof.length === 0 && index === 0 && size === 1 ? leaf : undefined;
  const sibling = proof.at(-1);
  if (!sibling || index >= size) return undefined;
  const half = split(size);
  const below = proof.slice(0, -1);
  if (index < half) {
    const left = await rootFrom(leaf, index, half, below);
    return left && nodeHash(left, sibling);
  }
  const right = await rootFrom(leaf, index - half, size - half, below);
  return right && nodeHash(sibling, right);
}

export async function readKeyText(text: string): Promise<Key | undefined> {
  const [, name, hash, encoded] = /^(.*?)\+([0-9a-f]{8})\+(.*)$/.exec(text.trim()) ?? [];
  if (name === undefined || encoded === undefined) return undefined;
  const typed = fromBase64(encoded);
  const id = (await sha256(utf8.encode(`${name}\n`), typed)).slice(0, 4);
  const written = [...id].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  // 1 is Ed25519 (C2SP signed-note).
  return typed[0] === 1 && typed.length === 33 && written === hash ? { name, id, bytes: typed.slice(1) } : undefined;
}

export function readCheckpointText(text: string): Checkpoint | undefined {
  const at = text.indexOf("\n\n");
  const [origin, size, root] = text.slice(0, at).split("\n");
  if (at < 0 || origin === undefined || root === undefined || String(Number(size)) !== size) return undefined;
  const signatures = text.slice(at + 2).split("\n").flatMap((line) => {
    const [, name, value] = /^\u2014 (\S+) (\S+)$/.exec(line) ?? [];
    return name !== undefined && value !== undefined ? [{ name, bytes: fromBase64(value) }] : [];
  });
  return { origin, size: Number(size), root, body: `${text.slice(0, at)}\n`, signatures };
}

/** Undefined where this browser has no Ed25519. */
export async function isSignedBy(checkpoint: Checkpoint, key: Key): Promise<boolean | undefined> {
  let imported: CryptoKey;
  try {
    imported = await crypto.subtle.importKey("raw", key.bytes, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return undefined;
  }
  for (const { name, bytes } of checkpoint.signatures) {
    const isOfKey = name === key.name && key.id.every((byte, index) => byte === bytes[index]);
    if (isOfKey && (await crypto.subtle.verify({ name: "Ed25519" }, imported, bytes.slice(4), utf8.encode(checkpoint.body)))) return true;
  }
  return false;
}

/** Whether the details shown are those that were committed to; undefined where they are no longer kept. */
export async function keepsCommitment({ salt, committed, commitment }: Entry): Promise<boolean | undefined> {
  if (salt === null || committed === null) return undefined;
  return toBase64(await sha256(fromBase64(salt), utf8.encode(committed))) === commitment;
}

export interface Proof {
  index: number;
  hashes: Hash[];
  checkpoint: string;
}

export function readProofText(text: string): Proof | undefined {
  const at = text.indexOf("\n\n");
  const [version, index, ...lines] = text.slice(0, at).split("\n");
  const number = /^index (\d+)$/.exec(index ?? "")?.[1];
  if (at < 0 || version !== "c2sp.org/tlog-proof@v1" || number === undefined) return undefined;
  return { index: Number(number), hashes: lines.map(fromBase64), checkpoint: text.slice(at + 2) };
}
