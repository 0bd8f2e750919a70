/**
 * What changes in the city, as it changes (`/stream`). Read with fetch, not EventSource: who asks is said by headers,
 * which an EventSource cannot send. A connection that is lost is taken up again behind the last event that was heard.
 */
import { begin, isAbort, Problem, problemOf } from "./http";
import type { Entity } from "./entity";

export interface CityEvent {
  seq: number;
  time: string;
  change: "created" | "updated" | "deleted";
  attributes: string[];
  entity: Entity;
}

/** `refused`: the server offers this reader no stream, so whoever follows has to ask again and again. */
export type Connection = "opening" | "live" | "lost" | "refused";

export interface Listener {
  /** The stream begins anew: what is has to be asked for. Where that fails, the stream is opened again later. */
  onfresh: (signal: AbortSignal) => Promise<void>;
  onevent: (event: CityEvent) => void;
  /** With what the server said, where it refused. */
  onconnection: (connection: Connection, why?: Problem) => void;
}

/** The server gives a sign of life each 15 seconds. */
const SILENT_MAX_MS = 40_000;
/** After a stream that ended as it should: policies were changed, or the server stops. */
const SOON_MS = 500;
const WAIT_FIRST_MS = 1_000;
const WAIT_MAX_MS = 30_000;
/** A server with too many streams is asked again after this. */
const REFUSED_AGAIN_MS = 60_000;
/** Whoever looked away longer than this begins anew: catching up would take longer. */
const AWAY_MAX_MS = 60_000;

/** Twice as long after each failure, up to a bound, and never all at the same moment. */
export function waitMs(failures: number, random: number): number {
  return Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** Math.max(0, failures - 1)) * (0.75 + random / 2);
}

export interface Cut {
  id: string | undefined;
  event: string;
  data: string;
}

/** Cuts text that comes in pieces into events (HTML, "Server-sent events"). */
export class Cutter {
  #rest = "";
  #id: string | undefined;
  #event = "";
  #data: string[] = [];

  feed(text: string): Cut[] {
    const cuts: Cut[] = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length > 0) cuts.push({ id: this.#id, event: this.#event || "message", data: this.#data.join("\n") });
        [this.#event, this.#data] = ["", []];
        continue;
      }
      const colon = line.indexOf(":");
      const [name, value] = colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
      if (name === "id") this.#id = value;
      else if (name === "event") this.#event = value;
      else if (name === "data") this.#data.push(value);
    }
    return cuts;
  }
}

/** Whether somebody looks; a hidden tab holds no connection. */
export interface Attention {
  isAway: () => boolean;
  watch: (onchange: () => void) => () => void;
}

const browser: Attention = {
  isAway: () => document.hidden,
  watch(onchange) {
    document.addEventListener("visibilitychange", onchange);
    addEventListener("online", onchange);
    return () => {
      document.removeEventListener("visibilitychange", onchange);
      removeEventListener("online", onchange);
    };
  },
};

export function addressOf(query: Record<string, string>, from: string | undefined): string {
  const asked = new URLSearchParams(query);
  if (from !== undefined) asked.set("from", from);
  return asked.size > 0 ? `/stream?${asked.toString()}` : "/stream";
}

/** Follows until what it gives back is called. */
export function followStream(query: Record<string, string>, listener: Listener, attention: Attention = browser): () => void {
  let isStopped = false;
  /** The last event that was heard. */
  let last: string | undefined;
  let failures = 0;
  let awaySince: number | undefined;
  let opened: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const later = (ms: number): void => {
    clearTimeout(timer);
    if (!isStopped) timer = setTimeout(() => void open(), ms);
  };

  async function listen(body: ReadableStream<Uint8Array>, controller: AbortController): Promise<void> {
    const [reader, decoder, cutter] = [body.getReader(), new TextDecoder(), new Cutter()];
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    const alive = (): void => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => controller.abort(), SILENT_MAX_MS);
    };
    try {
      for (;;) {
        alive();
        const { done, value } = await reader.read();
        if (done) return;
        for (const { id, event, data } of cutter.feed(decoder.decode(value, { stream: true }))) {
          if (event === "lost") {
            await listener.onfresh(controller.signal);
            continue;
          }
          listener.onevent(JSON.parse(data) as CityEvent);
          last = id ?? last;
        }
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  async function open(): Promise<void> {
    if (isStopped || opened || attention.isAway()) return;
    const controller = (opened = new AbortController());
    try {
      const response = await begin(addressOf(query, last), { accept: "text/event-stream", signal: controller.signal });
      if (!response.ok) throw problemOf(response.status, await response.text());
      // Something between that answers in the server's place is no stream.
      if (!response.body || !response.headers.get("content-type")?.startsWith("text/event-stream")) throw new Problem(404, "", "", "");
      const isFresh = last === undefined;
      if (isFresh) {
        // What comes meanwhile waits in the connection: nothing falls between the question and the first event.
        await listener.onfresh(controller.signal);
      }
      failures = 0;
      listener.onconnection("live");
      await listen(response.body, controller);
      opened = undefined;
      later(SOON_MS);
    } catch (error) {
      opened = undefined;
      failed(error);
    }
  }

  function failed(error: unknown): void {
    // Stopped, or hidden: not lost.
    if (isStopped || (isAbort(error) && attention.isAway())) return;
    const status = error instanceof Problem ? error.status : 0;
    if (error instanceof Problem && error.code === "SRV-023") {
      last = undefined;
      return later(SOON_MS);
    }
    if (status === 503 || status === 429) {
      listener.onconnection("refused");
      return later(REFUSED_AGAIN_MS);
    }
    if (error instanceof Problem && status >= 400 && status < 500) return listener.onconnection("refused", error);
    failures += 1;
    listener.onconnection("lost");
    later(waitMs(failures, Math.random()));
  }

  const unwatch = attention.watch(() => {
    if (attention.isAway()) {
      awaySince ??= Date.now();
      clearTimeout(timer);
      opened?.abort();
      return;
    }
    if (awaySince !== undefined && Date.now() - awaySince > AWAY_MAX_MS) last = undefined;
    awaySince = undefined;
    later(0);
  });
  void open();
  return () => {
    isStopped = true;
    unwatch();
    clearTimeout(timer);
    opened?.abort();
  };
}
