/**
 * Vehicles between two answers: the path they reported is played back while the next answer is awaited,
 * so that a bus drives along its road and not across the houses. One answer late, never invented.
 */
import type { Reading } from "../api/ngsi";
import type { Json } from "../api/entity";

export interface Fix {
  at: number;
  lon: number;
  lat: number;
}

export interface Placed {
  lon: number;
  lat: number;
  /** Degrees clockwise from north; undefined while it stands. */
  heading: number | undefined;
}

/** What was driven longer ago than the window played is forgotten. */
const KEPT_PER_VEHICLE = 600;

export function fixOf(reading: Reading): Fix | undefined {
  const value: Json = reading.value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const place = value["coordinates"];
  if (value["type"] !== "Point" || !Array.isArray(place)) return undefined;
  const [lon, lat] = place;
  const at = Date.parse(reading.at);
  return typeof lon === "number" && typeof lat === "number" && !Number.isNaN(at) ? { at, lon, lat } : undefined;
}

export function headingOf(from: Fix, to: Fix): number | undefined {
  const east = (to.lon - from.lon) * Math.cos((from.lat * Math.PI) / 180);
  const north = to.lat - from.lat;
  if (Math.hypot(east, north) < 1e-7) return undefined;
  return ((Math.atan2(east, north) * 180) / Math.PI + 360) % 360;
}

/** Where a path is at a time: between two fixes in a straight line, before the first and after the last at them. */
export function placeOn(path: readonly Fix[], at: number): Placed | undefined {
  const [first, last] = [path[0], path.at(-1)];
  if (!first || !last) return undefined;
  if (at <= first.at) return { lon: first.lon, lat: first.lat, heading: undefined };
  const next = path.findIndex((fix) => fix.at > at);
  const [a, b] = [path[next - 1], path[next]];
  if (next < 0 || !a || !b) return { lon: last.lon, lat: last.lat, heading: undefined };
  const share = (at - a.at) / (b.at - a.at);
  return { lon: a.lon + (b.lon - a.lon) * share, lat: a.lat + (b.lat - a.lat) * share, heading: headingOf(a, b) };
}

export class Tracks {
  #paths = new Map<string, Fix[]>();
  #from = 0;
  #to = 0;
  #begunAt = 0;
  #lastsMs = 1;

  /** The city's time up to which paths are known; undefined before the first answer. */
  get knownUntil(): number | undefined {
    return this.#to || undefined;
  }

  clear(): void {
    this.#paths.clear();
    this.#from = this.#to = 0;
  }

  /** What was driven since, to be played over the next `lastsMs` of our time. */
  add(found: Map<string, Reading[]>, here: number, lastsMs: number): void {
    let newest = this.#to;
    for (const [id, readings] of found) {
      const path = this.#paths.get(id) ?? [];
      const known = path.at(-1)?.at ?? 0;
      const fresh = readings.map(fixOf).filter((fix) => fix !== undefined && fix.at > known) as Fix[];
      this.#paths.set(id, [...path, ...fresh].slice(-KEPT_PER_VEHICLE));
      newest = Math.max(newest, fresh.at(-1)?.at ?? 0);
    }
    // From where the picture is now, so that nothing jumps when an answer comes early or late.
    this.#from = this.#to ? this.timeShown(here) : newest;
    this.#to = newest;
    this.#begunAt = here;
    this.#lastsMs = lastsMs;
  }

  timeShown(here: number): number {
    const share = Math.min(1, Math.max(0, (here - this.#begunAt) / this.#lastsMs));
    return this.#from + (this.#to - this.#from) * share;
  }

  isMoving(here: number): boolean {
    return this.#to > this.#from && here < this.#begunAt + this.#lastsMs;
  }

  placeOf(id: string, here: number): Placed | undefined {
    const path = this.#paths.get(id);
    return path && placeOn(path, this.timeShown(here));
  }
}
