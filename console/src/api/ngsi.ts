/** Questions to /ngsi-ld/v1. */
import { ask, askJson, type Ask } from "./http";
import type { Entity, Json } from "./entity";

export const ROOT = "/ngsi-ld/v1";
export const LIMIT_MAX = 1000;

export interface EntityQuery {
  type?: string;
  id?: string;
  q?: string;
  attrs?: string;
  near?: { lon: number; lat: number; metres: number } | undefined;
  /** west, south, east, north */
  within?: readonly [number, number, number, number] | undefined;
  at?: string | undefined;
  simplified?: boolean;
  limit?: number;
  offset?: number;
  count?: boolean;
}

/** The address that asks so; parameters in the order of the standard's table. */
export function entitiesAddress(query: EntityQuery): string {
  const asked = new URLSearchParams();
  const set = (name: string, value: string | undefined): void => {
    if (value) asked.set(name, value);
  };
  set("type", query.type);
  set("id", query.id);
  set("q", query.q);
  set("attrs", query.attrs);
  if (query.near) {
    set("georel", `near;maxDistance==${query.near.metres}`);
    set("geometry", "Point");
    set("coordinates", JSON.stringify([query.near.lon, query.near.lat]));
  } else if (query.within) {
    const [west, south, east, north] = query.within;
    set("georel", "intersects");
    set("geometry", "Polygon");
    set("coordinates", JSON.stringify([[[west, south], [east, south], [east, north], [west, north], [west, south]]]));
  }
  // Without any condition the standard asks for a sign that everything is meant.
  if (asked.size === 0) set("local", "true");
  set("at", query.at);
  set("options", query.simplified ? "keyValues" : undefined);
  set("limit", query.limit === undefined ? undefined : String(query.limit));
  set("offset", query.offset ? String(query.offset) : undefined);
  set("count", query.count ? "true" : undefined);
  return `${ROOT}/entities?${asked.toString()}`;
}

export interface Found {
  entities: Entity[];
  /** How many match in all, where it was asked. */
  count: number | undefined;
}

export async function queryEntities(query: EntityQuery, how: Ask = {}): Promise<Found> {
  const answer = await ask(entitiesAddress(query), how);
  const count = answer.headers.get("NGSILD-Results-Count");
  return { entities: JSON.parse(answer.text) as Entity[], count: count === null ? undefined : Number(count) };
}

/** Up to `most` entities, page by page. */
export async function queryAll(query: EntityQuery, most: number, how: Ask = {}): Promise<Found> {
  const entities: Entity[] = [];
  let count: number | undefined;
  while (entities.length < most) {
    const limit = Math.min(LIMIT_MAX, most - entities.length);
    const page = await queryEntities({ ...query, limit, offset: entities.length, count: count === undefined }, how);
    count ??= page.count;
    entities.push(...page.entities);
    if (page.entities.length < limit) break;
  }
  return { entities, count };
}

export async function countEntities(query: EntityQuery, how: Ask = {}): Promise<number> {
  const answer = await ask(entitiesAddress({ ...query, limit: 0, count: true }), how);
  return Number(answer.headers.get("NGSILD-Results-Count") ?? 0);
}

export function retrieveEntity(id: string, at?: string, how: Ask = {}): Promise<Entity> {
  return askJson<Entity>(`${ROOT}/entities/${encodeURIComponent(id)}${at ? `?at=${encodeURIComponent(at)}` : ""}`, how);
}

export interface EntityType {
  id: string;
  name: string;
  attributes: string[];
}

/** All types with the names of their attributes. */
export async function listTypes(how: Ask = {}): Promise<EntityType[]> {
  const body = await askJson<{ id: string; typeName?: string; attributeNames?: string[] }[]>(
    `${ROOT}/types?details=true`,
    how,
  );
  return body
    .map((type) => ({ id: type.id, name: type.typeName ?? type.id, attributes: type.attributeNames ?? [] }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

export interface Reading {
  value: Json;
  at: string;
}

type TemporalValues = Record<string, { values?: [Json, string][] } | { values?: [Json, string][] }[] | string>;

/** What an attribute was, between two times, oldest first. */
export async function readings(
  asked: { id?: string; type?: string; attribute: string; from: string; to?: string; lastN?: number },
  how: Ask = {},
): Promise<Map<string, Reading[]>> {
  const query = new URLSearchParams({ attrs: asked.attribute, options: "temporalValues" });
  if (asked.type) query.set("type", asked.type);
  query.set("timerel", asked.to ? "between" : "after");
  query.set("timeAt", asked.from);
  if (asked.to) query.set("endTimeAt", asked.to);
  if (asked.lastN) query.set("lastN", String(asked.lastN));
  const place = asked.id ? `${ROOT}/temporal/entities/${encodeURIComponent(asked.id)}` : `${ROOT}/temporal/entities`;
  const body = await askJson<TemporalValues | TemporalValues[]>(`${place}?${query.toString()}`, how);
  const found = new Map<string, Reading[]>();
  for (const entity of Array.isArray(body) ? body : [body]) {
    const whole = entity[asked.attribute];
    const series = (Array.isArray(whole) ? whole : [whole]).flatMap((one) =>
      typeof one === "object" ? (one.values ?? []) : [],
    );
    const sorted = series.map(([value, at]) => ({ value, at })).sort((a, b) => (a.at < b.at ? -1 : 1));
    if (typeof entity["id"] === "string") found.set(entity["id"], sorted);
  }
  return found;
}

export const METHODS = ["avg", "min", "max", "sum", "stddev", "totalCount"] as const;
export type Method = (typeof METHODS)[number];
export interface Period {
  value: number | null;
  from: string;
  to: string;
}
type Rows = [number | null, string, string][];
type Series = Record<string, Rows | string>;
type Aggregated = Record<string, Series | Series[] | string>;

export function aggregateAddress(asked: {
  id: string;
  attribute: string;
  methods: readonly Method[];
  period: string;
  from: string;
  to: string;
}): string {
  const query = new URLSearchParams({
    attrs: asked.attribute,
    timerel: "between",
    timeAt: asked.from,
    endTimeAt: asked.to,
    options: "aggregatedValues",
    aggrMethods: asked.methods.join(","),
    aggrPeriodDuration: asked.period,
  });
  return `${ROOT}/temporal/entities/${encodeURIComponent(asked.id)}?${query.toString()}`;
}

/** Periods of one attribute put together, by method. */
export async function aggregate(
  asked: Parameters<typeof aggregateAddress>[0],
  how: Ask = {},
): Promise<Map<Method, Period[]>> {
  const body = await askJson<Aggregated>(aggregateAddress(asked), how);
  const whole = body[asked.attribute];
  const one = Array.isArray(whole) ? whole[0] : whole;
  return new Map(
    asked.methods.map((method) => {
      const rows = typeof one === "object" ? one[method] : undefined;
      return [method, (Array.isArray(rows) ? rows : []).map(([value, from, to]) => ({ value, from, to }))];
    }),
  );
}
