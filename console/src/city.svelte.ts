/** What the shell knows of the city: does the server answer, how is the town called, is it simulated. */
import { ask, askJson, Problem } from "./api/http";
import { inLanguage, type Entity, type Json } from "./api/entity";
import { queryEntities } from "./api/ngsi";
import { listSuggestions } from "./api/ops";
import { clock } from "./clock.svelte";
import { poll } from "./poll";
import type { Language } from "./words/words";

export type Health = "asking" | "ready" | "not-ready" | "no-answer";
/** Without what stands in the name of many of the demo's things: the badge above all pages says it. */
export const withoutMark = (name: string): string => name.replace(/\s*[（(](模擬|simulated)[)）]\s*$/, "");

export function townOf(areas: Entity[]): Entity | undefined {
  const isTown = (area: Entity): boolean => area["category"] === "town" || area["category"] === "city";
  return areas.find(isTown) ?? (areas.length === 1 ? areas[0] : undefined);
}

/** Who asks, as the server sees them. */
export interface Self {
  who: string;
  label: string | null;
  roles: string[];
  rights: string[];
  /** Where they signed in with a name: until then. */
  sessionEndsAt: string | null;
}

class City {
  self = $state.raw<Self | undefined>(undefined);
  health = $state<Health>("asking");
  name = $state.raw<Json>(null);
  isSimulated = $state(false);
  /** Suggestions that wait for a decision; undefined where they may not be seen. */
  waiting = $state<number | undefined>(undefined);
  /** The server wants to know who asks. */
  needsToken = $state(false);

  #hasLoop = false;

  /** Whether whoever asks has this right; a server that does not say of rights leaves it to its doors. */
  may(right: "operate" | "administer"): boolean {
    return this.self?.rights?.includes(right) ?? false;
  }

  nameIn(language: Language): string {
    return withoutMark(inLanguage(this.name, language));
  }

  watch(): () => void {
    return poll(15_000, async (signal) => {
      await this.#look(signal);
      if (this.health !== "ready") return;
      if (this.name === null) await this.introduce(signal);
      if (this.#hasLoop) await this.#askLoop(signal);
    });
  }

  /** Name, simulation mark and clock; again after the caller changed. */
  async introduce(signal?: AbortSignal): Promise<void> {
    // Whoever is not known has no self; the question after it says so.
    this.self = await askJson<Self>("/trust/v1/self", { signal }).catch(() => undefined);
    try {
      const query = { type: "AdministrativeArea", attrs: "name,category,simulated", simplified: true, limit: 100 };
      const town = townOf((await queryEntities(query, { signal })).entities);
      this.needsToken = false;
      this.name = town?.["name"] ?? null;
      this.isSimulated = town?.["simulated"] === true;
    } catch (error) {
      if (error instanceof Problem) this.needsToken = error.status === 401;
      return;
    }
    this.#hasLoop = true;
    await this.#askLoop(signal);
  }

  async #look(signal: AbortSignal): Promise<void> {
    try {
      await ask("/health/ready", { signal });
      this.health = "ready";
    } catch (error) {
      if (error instanceof Problem) this.health = error.status === 0 ? "no-answer" : "not-ready";
    }
  }

  async #askLoop(signal?: AbortSignal): Promise<void> {
    try {
      const { suggestions, now } = await listSuggestions({ signal });
      this.waiting = suggestions.filter(({ status }) => status === "open").length;
      clock.observe(now);
    } catch (error) {
      this.waiting = undefined;
      // A server without this door, or a caller without the right: not asked again until somebody else asks.
      if (error instanceof Problem && error.status >= 400 && error.status < 500) this.#hasLoop = false;
    }
  }
}

export const city = new City();
