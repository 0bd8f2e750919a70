/** The trail: what was done by whom, at /audit/v1. */
import { ask, askJson, type Ask } from "./http";
import type { Json } from "./entity";

const ROOT = "/audit/v1";
export const ENTRIES_MAX = 1000;

export interface Entry {
  index: number;
  time: string;
  who: string;
  what: string;
  subject: string;
  commitment: string;
  salt: string | null;
  /** The details to the byte, as they were committed to. */
  committed: string | null;
  details: Record<string, Json> | null;
}

export interface Entries {
  entries: Entry[];
  size: number;
  next: number | null;
}

export function readEntries(
  asked: { who?: string; what?: string; subject?: string; from?: number; limit?: number },
  how: Ask = {},
): Promise<Entries> {
  const set = Object.entries(asked).filter(([, value]) => value !== undefined && value !== "");
  return askJson(`${ROOT}/entries?${new URLSearchParams(set.map(([name, value]) => [name, String(value)])).toString()}`, how);
}

const text = async (path: string, how: Ask): Promise<string> => (await ask(ROOT + path, { ...how, accept: "text/plain" })).text;

export const readCheckpoint = (how: Ask = {}): Promise<string> => text("/checkpoint", how);
export const readKey = (how: Ask = {}): Promise<string> => text("/key", how);
export const readProof = (index: number, how: Ask = {}): Promise<string> => text(`/proof?index=${index}`, how);
