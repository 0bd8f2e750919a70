/** One request to the server that served this page; what it refuses comes back as a `Problem` in words. */

export interface Identity {
  token: string;
  tenant: string;
  purpose: string;
  context: string;
}

let identity: () => Identity = () => ({ token: "", tenant: "", purpose: "", context: "" });

/** Who asks is looked up at each request. */
export function identifyBy(lookUp: () => Identity): void {
  identity = lookUp;
}

/** A problem body (RFC 9457) of the server, or status 0 where no answer came. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly code: string,
    /** The whole answer, where it was JSON. */
    readonly body?: unknown,
  ) {
    super(detail || title);
  }
}

export interface Ask {
  method?: string;
  body?: unknown;
  accept?: string;
  /** Of a body that is text. */
  media?: string;
  /** Further headers. */
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** For a check of a token before it is kept. */
  token?: string;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

export function headersOf(who: Identity, accept: string): Record<string, string> {
  const headers: Record<string, string> = { Accept: accept };
  if (who.token) headers["Authorization"] = `Bearer ${who.token}`;
  if (who.tenant) headers["NGSILD-Tenant"] = who.tenant;
  if (who.purpose) headers["Renkei-Purpose"] = who.purpose;
  if (who.context) {
    headers["Link"] = `<${who.context}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"`;
  }
  return headers;
}

/** The answer as it begins, whatever the server says; status 0 where none comes. */
export async function begin(address: string, how: Ask = {}): Promise<Response> {
  const who = how.token === undefined ? identity() : { ...identity(), token: how.token };
  const headers = { ...headersOf(who, how.accept ?? "application/json"), ...how.headers };
  const init: RequestInit = { method: how.method ?? "GET", headers };
  if (how.signal) init.signal = how.signal;
  if (typeof how.body === "string") {
    headers["Content-Type"] = how.media ?? "text/plain; charset=utf-8";
    init.body = how.body;
  } else if (how.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(how.body);
  }
  try {
    return await fetch(address, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Problem(0, "", "", "");
  }
}

export async function ask(address: string, how: Ask = {}): Promise<Answer> {
  const response = await begin(address, how);
  const text = await response.text();
  if (!response.ok) throw problemOf(response.status, text);
  return { status: response.status, headers: response.headers, text };
}

export function problemOf(status: number, text: string): Problem {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null) {
      const member = (name: string): string => {
        const value: unknown = Reflect.get(body, name);
        return typeof value === "string" ? value : "";
      };
      return new Problem(status, member("title"), member("detail"), member("code"), body);
    }
  } catch {
    // Not a problem body: a proxy between, or nothing at all.
  }
  return new Problem(status, "", text.slice(0, 200), "");
}

export async function askJson<T>(address: string, how: Ask = {}): Promise<T> {
  const answer = await ask(address, how);
  return JSON.parse(answer.text) as T;
}

export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";
