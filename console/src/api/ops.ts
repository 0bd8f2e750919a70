/** The loop: suggestions, decisions, commands at /ops/v1. */
import { askJson, type Ask } from "./http";
import type { Geometry } from "geojson";
import type { Json } from "./entity";

const ROOT = "/ops/v1";

export type SuggestionStatus = "open" | "approved" | "altered" | "rejected" | "expired" | "withdrawn";
export type Verdict = "approve" | "alter" | "reject";

export interface Proposal {
  entity: string;
  attribute: string;
  value: Json;
}

export interface Evidence extends Proposal {
  unitCode?: string;
  observedAt?: string;
}

export interface Suggestion {
  id: string;
  status: SuggestionStatus;
  what: string;
  why: string;
  rule: string;
  about: string;
  proposes: Proposal[];
  evidence: Evidence[];
  expects?: string;
  alternatives?: string[];
  location?: Geometry;
  holds: boolean;
  raisedAt: string;
  deadline: string;
  approvalsNeeded: number;
  approvals: number;
  decidedBy?: string;
  decidedAt?: string;
}

export interface Decision {
  id: string;
  verdict: Verdict;
  by: string;
  reason?: string;
  at: string;
  proposes: Proposal[];
}

export type CommandStatus = "waiting" | "sent" | "acknowledged" | "refused" | "unknown" | "expired" | "revoked";

export interface Command extends Proposal {
  id: string;
  status: CommandStatus;
  decision: string;
  issuedAt: string;
  expiresAt: string;
  attempts: number;
  sentAt?: string;
  note?: string;
}

export interface SuggestionRecord {
  suggestion: Suggestion;
  decisions: Decision[];
  commands: Command[];
  acknowledgements: { id: string; command: string; outcome: "done" | "refused"; by: string; at: string; detail?: string }[];
  effects: {
    id: string;
    measures: { entity: string; attribute: string };
    before: Json;
    after: Json;
    from: string;
    to: string;
    basis?: string;
  }[];
  timeline: { at: string; what: string; by: string | null; id: string; detail?: string | null }[];
}

export interface Rule {
  id: string;
  name: string;
  watches: string;
  when: string;
  until?: string;
  says: string;
  owner?: string;
  failure: string | null;
}

/** `now` is the city's clock. */
export type Suggestions = { suggestions: Suggestion[]; now: string };
export type Commands = { commands: Command[]; now: string };

const one = (id: string): string => encodeURIComponent(id);

export const listSuggestions = (how: Ask = {}): Promise<Suggestions> =>
  askJson(`${ROOT}/suggestions?limit=100`, how);
export const listCommands = (how: Ask = {}): Promise<Commands> => askJson(`${ROOT}/commands`, how);
export const listRules = (how: Ask = {}): Promise<{ rules: Rule[] }> => askJson(`${ROOT}/rules`, how);
export const readRecord = (id: string, how: Ask = {}): Promise<SuggestionRecord> =>
  askJson(`${ROOT}/suggestions/${one(id)}`, how);

export interface Judgement {
  verdict: Verdict;
  reason: string;
  proposes?: Proposal[];
}

export function decide(id: string, judgement: Judgement, how: Ask = {}): Promise<SuggestionRecord> {
  const { verdict, reason, proposes } = judgement;
  const body = { ...(reason ? { reason } : {}), ...(proposes ? { proposes } : {}) };
  return askJson(`${ROOT}/suggestions/${one(id)}/${verdict}`, { ...how, method: "POST", body });
}

export const revoke = (id: string, reason: string): Promise<unknown> =>
  askJson(`${ROOT}/commands/${one(id)}/revoke`, { method: "POST", body: { reason } });

export const resolve = (id: string, outcome: "done" | "refused", reason: string): Promise<unknown> =>
  askJson(`${ROOT}/commands/${one(id)}/resolution`, { method: "POST", body: { outcome, reason } });

export interface Doctor {
  healthy: boolean;
  version: string;
  findings: { level: string; thing: string; what: string; advice: string }[];
  tenants: { tenant: string; entities: number; types: number }[];
  journal: { bytes: number; records: number };
  disk: { freeBytes: number; dataBytes: number; daysLeft: number | null };
  followers: { historyBehind: number; matcherBehind: number };
  failingSubscriptions: { id: string; waiting: number; deadLetters: number; lastError: string | null; advice: string }[];
}

export const readDoctor = (how: Ask = {}): Promise<Doctor> => askJson(`${ROOT}/doctor`, how);

export interface SilentSensor {
  id: string;
  attribute: string;
  lastReadingAt: string;
  silentSeconds: number;
  usualSeconds: number;
  advice: string;
}

export const readSilentSensors = (how: Ask = {}): Promise<{ silentSensors: SilentSensor[]; seriesJudged: number }> =>
  askJson(`${ROOT}/silent-sensors`, how);
