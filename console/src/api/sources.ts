/** Sources, what they rejected, and where a value came from, at /ops/v1. */
import { ask, askJson, type Ask } from "./http";
import type { Entity } from "./entity";

const ROOT = "/ops/v1/sources";

/** Of a source whose text this release cannot read, only `name`, `failing` and counts are told. */
export interface Source {
  name: string;
  title?: string | null;
  from?: string;
  format?: string;
  provider?: string | null;
  licence?: string | null;
  version?: number;
  paused?: boolean;
  who?: string;
  since?: string;
  messages: number;
  rows?: number;
  applied: number;
  rejected: number;
  rejectsKept?: number;
  lastAt?: string | null;
  lastRejection?: string | null;
  failing: string | null;
  silent?: boolean;
}

export type SourceWithText = Source & { text: string };

export interface Reason {
  line: number;
  why: string;
  row?: string;
}

/** What became of a message. */
export interface Entry {
  message: number;
  receivedAt: string;
  version: number;
  name: string;
  by: string;
  bytes: number;
  sha256: string;
  read: number;
  applied: number;
  rejected: number;
  reasons: Reason[];
}

export type Reject = Entry & { text?: string; base64?: string };

export interface Trial {
  read: number;
  skipped: number;
  would: number;
  rejected: number;
  entities: { line: number; becomes: "current" | "past"; entity: Entity }[];
  reasons: Reason[];
}

export interface Lineage {
  source: string | null;
  message?: number;
  line?: number;
  changedAt?: string;
  seq?: number;
  cameAs?: Entry | null;
  door?: string;
  by?: string;
  forgotten?: boolean;
}

const at = (name: string, more = ""): string => `${ROOT}/${encodeURIComponent(name)}${more}`;
const post = (body?: string): Ask => (body === undefined ? { method: "POST" } : { method: "POST", body });

export const listSources = async (how: Ask = {}): Promise<Source[]> =>
  (await askJson<{ sources: Source[] }>(ROOT, how)).sources;
export const readSource = (name: string, how: Ask = {}): Promise<SourceWithText> => askJson(at(name), how);
/** Sets it up, or gives the one of its name another text. */
export const putSource = (text: string): Promise<Source> =>
  askJson(ROOT, { method: "POST", body: text, media: "application/yaml" });
export const removeSource = (name: string): Promise<unknown> => ask(at(name), { method: "DELETE" });
export const pauseSource = (name: string): Promise<unknown> => ask(at(name, "/pause"), post());
export const resumeSource = (name: string): Promise<unknown> => ask(at(name, "/resume"), post());
export const tryMessage = (name: string, message: string, how: Ask = {}): Promise<Trial> =>
  askJson(at(name, "/test"), { ...how, ...post(message) });

/** A message of which nothing could be used is an answer here too, not a failure: 422 with an entry. */
async function entryOf(address: string, body?: string): Promise<Entry> {
  try {
    return await askJson<Entry>(address, post(body));
  } catch (error) {
    const entry = error instanceof Error && "body" in error ? error.body : undefined;
    if (isEntry(entry)) return entry;
    throw error;
  }
}

const isEntry = (body: unknown): body is Entry => typeof body === "object" && body !== null && "message" in body && "reasons" in body;

export const pushMessage = (name: string, message: string): Promise<Entry> => entryOf(at(name, "/messages"), message);
export const listRejects = (name: string, from: number, how: Ask = {}): Promise<{ rejects: Entry[]; next: number | null }> =>
  askJson(at(name, `/rejects${from ? `?from=${from}` : ""}`), how);
export const readReject = (name: string, message: number, how: Ask = {}): Promise<Reject> => askJson(at(name, `/rejects/${message}`), how);
export const dropReject = (name: string, message: number): Promise<unknown> => ask(at(name, `/rejects/${message}`), { method: "DELETE" });
/** Taken again as it came, or as it was mended. */
export const replayReject = (name: string, message: number, mended?: string): Promise<Entry> =>
  entryOf(at(name, `/rejects/${message}/replay`), mended);

export const readLineage = (id: string, attribute: string, how: Ask = {}): Promise<Lineage> =>
  askJson(`/ops/v1/lineage?${new URLSearchParams({ id, attr: attribute }).toString()}`, how);
