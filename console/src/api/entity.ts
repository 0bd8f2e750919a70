/** NGSI-LD entities as the console reads them: normalised (with times and units) or simplified. */
import type { Geometry } from "geojson";
import type { Language } from "../words/words";

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

export interface Entity {
  id: string;
  type: string | string[];
  [attribute: string]: Json;
}

/** One instance of an attribute, whatever its kind. */
export interface Attribute {
  name: string;
  kind: string;
  value: Json;
  unitCode: string;
  observedAt: string;
  datasetId: string;
}

const NOT_ATTRIBUTES = new Set(["id", "type", "@context", "scope", "createdAt", "modifiedAt"]);
const VALUE_MEMBERS = ["value", "object", "languageMap", "vocab", "json", "valueList", "objectList"];

const isObject = (value: Json | undefined): value is { [name: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");

/** The attributes of a normalised entity; several instances of one stand behind each other. */
export function attributesOf(entity: Entity): Attribute[] {
  return Object.entries(entity)
    .filter(([name]) => !NOT_ATTRIBUTES.has(name))
    .flatMap(([name, whole]) =>
      (Array.isArray(whole) ? whole : [whole]).filter(isObject).map((instance) => {
        const member = VALUE_MEMBERS.find((candidate) => candidate in instance);
        return {
          name,
          kind: text(instance["type"]) || "Property",
          value: member === undefined ? null : (instance[member] ?? null),
          unitCode: text(instance["unitCode"]),
          observedAt: text(instance["observedAt"]),
          datasetId: text(instance["datasetId"]),
        };
      }),
    );
}

export const attributeOf = (entity: Entity, name: string): Attribute | undefined =>
  attributesOf(entity).find((attribute) => attribute.name === name);

/** The first type; an entity may have several. */
export const typeOf = (entity: Entity): string =>
  Array.isArray(entity.type) ? (entity.type[0] ?? "") : entity.type;

/** A value in one language: a language map, simplified or not, or a plain text. */
export function inLanguage(value: Json | undefined, language: Language): string {
  if (typeof value === "string") return value;
  if (!isObject(value)) return "";
  const map = isObject(value["languageMap"]) ? value["languageMap"] : value;
  const own = map[language] ?? map["en"] ?? map["@none"] ?? Object.values(map)[0];
  return Array.isArray(own) ? own.map(text).join(", ") : text(own);
}

export function nameOf(entity: Entity, language: Language): string {
  const name = entity["name"];
  const value = isObject(name) && "value" in name ? name["value"] : name;
  return inLanguage(value, language) || lastPart(entity.id);
}

/** `Building:Minatomachi:0053` of a URN, the last part of another address. */
export function lastPart(id: string): string {
  const urn = /^urn:ngsi-ld:[^:]+:(.+)$/.exec(id);
  return urn?.[1] ?? id.replace(/[/#]$/, "").split(/[/#]/).at(-1) ?? id;
}

/** The geometry of `location`, normalised or simplified. */
export function geometryOf(entity: Entity, attribute = "location"): Geometry | undefined {
  const whole = entity[attribute];
  const one = Array.isArray(whole) ? whole[0] : whole;
  const value = isObject(one) && one["type"] === "GeoProperty" ? one["value"] : one;
  return isObject(value) && "coordinates" in value ? (value as unknown as Geometry) : undefined;
}

/** A point to stand for a geometry: itself, or the middle of its bounds. */
export function middleOf(geometry: Geometry): [number, number] | undefined {
  if (geometry.type === "GeometryCollection") return geometry.geometries[0] && middleOf(geometry.geometries[0]);
  let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
  const visit = (part: unknown): void => {
    if (!Array.isArray(part)) return;
    const [lon, lat] = part as unknown[];
    if (typeof lon === "number" && typeof lat === "number") {
      [west, south, east, north] = [Math.min(west, lon), Math.min(south, lat), Math.max(east, lon), Math.max(north, lat)];
    } else part.forEach(visit);
  };
  visit(geometry.coordinates);
  return west <= east ? [(west + east) / 2, (south + north) / 2] : undefined;
}
