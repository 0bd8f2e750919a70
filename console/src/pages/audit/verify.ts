/** Verifies the whole trail, or one entry, and says of each check whether it holds, does not hold, or was not made. */
import { ENTRIES_MAX, readCheckpoint, readEntries, readKey, readProof, type Entry } from "../../api/audit";
import { isSignedBy, keepsCommitment, leafHash, readCheckpointText, readKeyText, readProofText, rootFrom, rootOf, toBase64, type Checkpoint, type Hash } from "./trail";

export type Outcome = "holds" | "broken" | "not-checked";
export type CheckName = "key" | "signature" | "tree" | "inclusion" | "details" | "memory" | "sameKey";
export interface Check {
  name: CheckName;
  outcome: Outcome;
  /** What is counted: entries, or those whose details are no longer kept. */
  count?: number;
  since?: string;
}

export interface Report {
  checks: Check[];
  size: number;
}

/** More entries than this are a matter for `renkei audit verify`. */
export const WHOLE_MAX = 20_000;

interface Seen {
  size: number;
  root: string;
  key: string;
  at: string;
}

const memoryName = (origin: string): string => `renkei.trail.${origin}`;

function recall(origin: string): Seen | undefined {
  try {
    return JSON.parse(localStorage.getItem(memoryName(origin)) ?? "") as Seen;
  } catch {
    return undefined;
  }
}

const outcome = (holds: boolean | undefined): Outcome => (holds === undefined ? "not-checked" : holds ? "holds" : "broken");

async function signed(checkpoint: Checkpoint, keyText: string): Promise<Check[]> {
  const key = await readKeyText(keyText);
  if (!key) return [{ name: "key", outcome: "broken" }];
  const isOurs = checkpoint.origin === key.name;
  return [
    { name: "key", outcome: "holds" },
    { name: "signature", outcome: isOurs ? outcome(await isSignedBy(checkpoint, key)) : "broken" },
  ];
}

async function allEntries(size: number, onprogress: (share: number) => void): Promise<Entry[]> {
  const all: Entry[] = [];
  while (all.length < size) {
    const page = await readEntries({ from: all.length, limit: ENTRIES_MAX });
    if (page.entries.length === 0) break;
    all.push(...page.entries);
    onprogress(all.length / size);
  }
  // What came after the checkpoint was signed is not in its tree.
  return all.slice(0, size);
}

async function detailsCheck(entries: readonly Entry[]): Promise<Check> {
  let gone = 0;
  for (const entry of entries) {
    const kept = await keepsCommitment(entry);
    if (kept === false) return { name: "details", outcome: "broken", count: entry.index };
    if (kept === undefined) gone += 1;
  }
  return { name: "details", outcome: gone === entries.length && gone > 0 ? "not-checked" : "holds", count: gone };
}

/** That the trail begins with what this browser saw before; a first look has nothing to compare. */
async function memoryChecks(checkpoint: Checkpoint, keyText: string, leaves: readonly Hash[]): Promise<Check[]> {
  const seen = recall(checkpoint.origin);
  if (!seen) return [{ name: "memory", outcome: "not-checked" }];
  const root = seen.size <= leaves.length ? toBase64(await rootOf(leaves.slice(0, seen.size))) : "";
  return [
    { name: "memory", outcome: outcome(root === seen.root), count: seen.size, since: seen.at },
    { name: "sameKey", outcome: outcome(seen.key === keyText.trim()), since: seen.at },
  ];
}

export async function verifyAll(now: string, onprogress: (share: number) => void = () => undefined): Promise<Report> {
  const [checkpointText, keyText] = await Promise.all([readCheckpoint(), readKey()]);
  const checkpoint = readCheckpointText(checkpointText);
  if (!checkpoint) return { checks: [{ name: "signature", outcome: "broken" }], size: 0 };
  const checks = await signed(checkpoint, keyText);
  if (checkpoint.size > WHOLE_MAX) {
    return { checks: [...checks, { name: "tree", outcome: "not-checked" }, { name: "details", outcome: "not-checked" }], size: checkpoint.size };
  }
  const entries = await allEntries(checkpoint.size, onprogress);
  const leaves = await Promise.all(entries.map(leafHash));
  const isWhole = entries.length === checkpoint.size && toBase64(await rootOf(leaves)) === checkpoint.root;
  checks.push({ name: "tree", outcome: outcome(isWhole), count: entries.length });
  checks.push(await detailsCheck(entries), ...(await memoryChecks(checkpoint, keyText, leaves)));
  if (checks.every((check) => check.outcome !== "broken")) {
    const seen: Seen = { size: checkpoint.size, root: checkpoint.root, key: keyText.trim(), at: now };
    localStorage.setItem(memoryName(checkpoint.origin), JSON.stringify(seen));
  }
  return { checks, size: checkpoint.size };
}

export async function verifyOne(entry: Entry): Promise<Report> {
  const [proofText, keyText] = await Promise.all([readProof(entry.index), readKey()]);
  const proof = readProofText(proofText);
  const checkpoint = proof && readCheckpointText(proof.checkpoint);
  if (!proof || !checkpoint) return { checks: [{ name: "inclusion", outcome: "broken" }], size: 0 };
  const checks = await signed(checkpoint, keyText);
  const root = await rootFrom(await leafHash(entry), entry.index, checkpoint.size, proof.hashes);
  const isIn = proof.index === entry.index && root !== undefined && toBase64(root) === checkpoint.root;
  const kept = await keepsCommitment(entry);
  checks.push({ name: "inclusion", outcome: outcome(isIn) }, { name: "details", outcome: outcome(kept), count: kept === undefined ? 1 : 0 });
  return { checks, size: checkpoint.size };
}
