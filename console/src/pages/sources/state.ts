/** How a source fares, in one word for each thing that an engineer must know of it. */
import type { Source } from "../../api/sources";

export type State = "failing" | "silent" | "rejecting" | "paused" | "waiting" | "healthy";

/** The worst first. One that is paused does nothing, so nothing else is held against it but what waits to be mended. */
export function statesOf(source: Source): State[] {
  const states: State[] = [];
  if (source.failing && !source.paused) states.push("failing");
  if (source.silent && !source.paused) states.push("silent");
  if ((source.rejectsKept ?? 0) > 0) states.push("rejecting");
  if (source.paused) states.push("paused");
  if (states.length > 0) return states;
  return [source.messages === 0 ? "waiting" : "healthy"];
}

export const LOOK: Record<State, string> = { failing: "bad", silent: "waits", rejecting: "waits", paused: "", waiting: "own", healthy: "good" };

const WEIGHT: Record<State, number> = { failing: 0, silent: 1, rejecting: 2, paused: 3, waiting: 4, healthy: 5 };

/** What needs a person stands first, the rest by name. */
export function byNeed(sources: readonly Source[]): Source[] {
  const weight = (source: Source): number => Math.min(...statesOf(source).map((state) => WEIGHT[state]));
  return [...sources].sort((a, b) => weight(a) - weight(b) || a.name.localeCompare(b.name));
}

/** How messages come in; a source's `from` begins with it. */
export type Kind = "push" | "poll" | "mqtt";
export const KINDS = ["push", "poll", "mqtt"] as const satisfies readonly Kind[];
export const kindOf = (from: string | undefined): Kind | undefined => KINDS.find((kind) => from?.split(" ")[0] === kind);

interface Sample {
  here: number;
  messages: number;
}

const WINDOW_MS = 60_000;
/** Two counts closer than this say nothing of a rate. */
const APART_MS = 4_000;

/** Messages a minute, as counted while one looks. */
export class Rates {
  #samples = new Map<string, Sample[]>();

  note(sources: readonly Source[], here: number): void {
    const known = this.#samples;
    this.#samples = new Map(
      sources.map(({ name, messages }) => {
        // A source that was removed and made again begins to count anew.
        const before = (known.get(name) ?? []).filter((sample) => here - sample.here <= WINDOW_MS && sample.messages <= messages);
        return [name, [...before, { here, messages }]];
      }),
    );
  }

  perMinute(name: string): number | undefined {
    const samples = this.#samples.get(name) ?? [];
    const [first, last] = [samples[0], samples.at(-1)];
    if (!first || !last || last.here - first.here < APART_MS) return undefined;
    return ((last.messages - first.messages) / (last.here - first.here)) * 60_000;
  }
}
