/** Who may what: accounts, tokens, policies, classes, erasure, at /trust/v1. */
import { ask, askJson, type Ask } from "./http";
import type { Json } from "./entity";

const ROOT = "/trust/v1";

export const ROLES = ["administrator", "operator", "approver", "developer", "auditor", "device"] as const;
export type Role = (typeof ROLES)[number];
/** A device has a token, not an account. */
export const PERSONS = ROLES.filter((role) => role !== "device");
export const CLASSES = ["environment", "infrastructure", "behaviour", "personal"] as const;
export type DataClass = (typeof CLASSES)[number];

export interface Account {
  name: string;
  who: string;
  label: string;
  roles: string[];
  organisation: string | null;
  purposes: string[];
  state: "invited" | "invitation ended" | "open" | "ended";
  endsAt: string | null;
  createdBy: string;
  createdAt: string;
  sessions: number;
}

/** `page` is where the invitation is taken up, told this once. */
export type Invited = Account & { page: string };

export interface Token {
  id: string;
  who: string;
  label: string;
  roles: string[];
  organisation: string | null;
  purposes: string[];
  createdBy: string;
  createdAt: string;
  expiresAt: string;
  lastUsedAt: string | null;
  lastAct: string | null;
  lastFrom: string | null;
  requests: number;
}

/** `token` is told this once. */
export type NewToken = Token & { token: string };

export interface Policy {
  id: string;
  words: string | null;
  cedar: string;
  createdBy: string;
  createdAt: string;
}

export interface Classed {
  attribute: string;
  class: DataClass;
  createdBy: string;
  createdAt: string;
}

export interface ReachRule {
  when: string;
  attributes: "all" | string[] | { allBut: string[] };
  lessExact: Record<string, Json>[];
}
export type Reach = "nothing" | "everything" | { granted: ReachRule[]; forbidden: ReachRule[] };

export interface Explained {
  who: string;
  roles: string[];
  organisation: string | null;
  purpose: string | null;
  read: Reach;
  write: Reach;
  rights: string[];
  discloses: string[];
  policies: Json;
}

/** What is empty is left out: the server then says what it is without. */
const filled = (body: Record<string, string | string[]>): Record<string, string | string[]> =>
  Object.fromEntries(Object.entries(body).filter(([, value]) => value.length > 0));

const post = <T>(path: string, body: Record<string, Json>): Promise<T> => askJson(ROOT + path, { method: "POST", body });
const remove = (path: string): Promise<unknown> => ask(ROOT + path, { method: "DELETE" });
const one = (id: string): string => encodeURIComponent(id);

export interface Person {
  name: string;
  label: string;
  roles: string[];
  organisation: string;
  purposes: string[];
  ends: string;
}

export const listAccounts = async (how: Ask = {}): Promise<Account[]> => (await askJson<{ accounts: Account[] }>(`${ROOT}/accounts`, how)).accounts;
export const addAccount = (person: Person): Promise<Invited> => post("/accounts", filled({ ...person }));
export const inviteAgain = (name: string): Promise<Invited> => post(`/accounts/${one(name)}/invitation`, {});
export const removeAccount = (name: string): Promise<unknown> => remove(`/accounts/${one(name)}`);

export interface TokenWanted {
  label: string;
  roles: string[];
  organisation: string;
  purposes: string[];
  expires: string;
}

export const listTokens = async (how: Ask = {}): Promise<Token[]> => (await askJson<{ tokens: Token[] }>(`${ROOT}/tokens`, how)).tokens;
export const createToken = (wanted: TokenWanted): Promise<NewToken> => post("/tokens", filled({ ...wanted }));
export const revokeToken = (id: string): Promise<unknown> => remove(`/tokens/${one(id)}`);

export const listPolicies = (how: Ask = {}): Promise<{ policies: Policy[]; roles: string }> => askJson(`${ROOT}/policies`, how);
export const addPolicy = (words: string, dry: boolean): Promise<Policy> => post("/policies", dry ? { words, dry } : { words });
export const removePolicy = (id: string): Promise<unknown> => remove(`/policies/${one(id)}`);
export const explain = (who: string, purpose: string, how: Ask = {}): Promise<Explained> =>
  askJson(`${ROOT}/explain?${new URLSearchParams(purpose ? { who, purpose } : { who }).toString()}`, how);

export const listClasses = async (how: Ask = {}): Promise<Classed[]> => (await askJson<{ classes: Classed[] }>(`${ROOT}/classes`, how)).classes;
export const setClass = (attribute: string, dataClass: DataClass): Promise<{ attribute: string; class: DataClass; unsealed?: number }> =>
  post("/classes", { attribute, class: dataClass });
export const removeClass = (attribute: string): Promise<unknown> => remove(`/classes/${one(attribute)}`);

export const erase = (entity: string): Promise<{ entity: string; attributes: string[] }> => post("/erasures", { entity });
