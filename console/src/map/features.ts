/** Entities as the map draws them: geometry, and beside the id only what decides colour, height and label. */
import type { Feature, Geometry } from "geojson";
import { geometryOf, middleOf, nameOf, typeOf, type Entity, type Json } from "../api/entity";
import { number } from "../format";
import type { Language } from "../words/words";
import type { Layer } from "./layers";

export interface Drawn {
  id: string;
  layer: Layer;
  type: string;
  name: string;
  label: string;
  [more: string]: string | number | boolean;
}

/** The value of an attribute, normalised or simplified. */
export function valueOf(entity: Entity, name: string): Json {
  const whole = entity[name];
  const one = Array.isArray(whole) && typeof whole[0] === "object" ? whole[0] : whole;
  if (typeof one === "object" && one !== null && !Array.isArray(one)) return one["value"] ?? one["object"] ?? null;
  return one ?? null;
}

const numberOf = (entity: Entity, name: string): number | undefined => {
  const value = valueOf(entity, name);
  return typeof value === "number" ? value : undefined;
};

const USES: Record<string, string> = {
  house: "house", apartments: "shared", retail: "work", office: "work", industrial: "work", school: "public", hospital: "public",
};
const METRES_PER_FLOOR = 3.2;

function buildingMore(entity: Entity): Record<string, string | number> {
  const category = valueOf(entity, "category");
  const first = Array.isArray(category) ? category[0] : category;
  const height = numberOf(entity, "height") ?? numberOf(entity, "measuredHeight");
  const floors = numberOf(entity, "floorsAboveGround") ?? numberOf(entity, "storeysAboveGround");
  // A height that nobody knows is drawn flat, not invented.
  return { use: USES[String(first)] ?? "other", height: height ?? (floors ?? 0) * METRES_PER_FLOOR };
}

/** How near a gauge is to its own levels. */
export function gaugeLevel(entity: Entity): "normal" | "warning" | "danger" {
  const level = numberOf(entity, "waterLevel");
  const isAbove = (name: string): boolean => {
    const limit = numberOf(entity, name);
    return level !== undefined && limit !== undefined && level >= limit;
  };
  if (isAbove("evacuationLevel") || isAbove("dangerLevel")) return "danger";
  return isAbove("standbyLevel") || isAbove("cautionLevel") ? "warning" : "normal";
}

function labelOf(layer: Layer, entity: Entity, name: string, language: Language): string {
  const value = (attribute: string, unit: string, decimals: number): string => {
    const found = numberOf(entity, attribute);
    return found === undefined ? "" : `${number(found, language, decimals)}${unit}`;
  };
  switch (layer) {
    case "areas": return valueOf(entity, "category") === "town" ? "" : name;
    case "parking": return value("availableSpotNumber", "", 0);
    case "weather": return value("temperature", "°C", 1);
    case "gauges": return value("waterLevel", " m", 2);
    case "vehicles": return "";
    default: return entity["name"] === undefined ? "" : name;
  }
}

export function moreOf(layer: Layer, entity: Entity): Record<string, string | number | boolean> {
  switch (layer) {
    case "buildings": return buildingMore(entity);
    case "gauges": return { level: gaugeLevel(entity) };
    case "parking": return { full: numberOf(entity, "availableSpotNumber") === 0 };
    case "vehicles": return { heading: numberOf(entity, "heading") ?? 0, parked: valueOf(entity, "serviceStatus") === "parked" };
    case "roads": return { wide: (numberOf(entity, "totalLaneNumber") ?? 2) > 2 };
    default: return {};
  }
}

export function featureOf(layer: Layer, entity: Entity, language: Language): Feature<Geometry, Drawn> | undefined {
  const geometry = geometryOf(entity);
  if (!geometry) return undefined;
  const name = nameOf(entity, language);
  const properties: Drawn = {
    id: entity.id, layer, type: typeOf(entity), name, label: labelOf(layer, entity, name, language), ...moreOf(layer, entity),
  };
  return { type: "Feature", geometry, properties };
}

export function featuresOf(layer: Layer, entities: readonly Entity[], language: Language): Feature<Geometry, Drawn>[] {
  return entities.map((entity) => featureOf(layer, entity, language)).filter((feature) => feature !== undefined);
}

/** Names stand at a point: an area that is cut into tiles would bear its name in each of them. */
export function namesOf(features: readonly Feature<Geometry, Drawn>[]): Feature<Geometry, Drawn>[] {
  return features.flatMap((feature) => {
    const middle = feature.properties.label ? middleOf(feature.geometry) : undefined;
    return middle ? [{ ...feature, geometry: { type: "Point", coordinates: middle } }] : [];
  });
}
