/** Where to look: the part of the earth that holds the city. */
import { geometryOf, middleOf, type Entity } from "../api/entity";
import type { Layer } from "./layers";

export type Bounds = readonly [west: number, south: number, east: number, north: number];

/** So many of the outermost things on each side are left out: one island a thousand kilometres off is not the city. */
const OUTER_SHARE = 0.01;
/** Areas that reach further than so many times the things in them are a prefecture around a city. */
const AREAS_FACTOR_MAX = 3;
const TELLING: readonly Layer[] = ["buildings", "roads", "parking", "shelters", "vehicles", "gauges", "weather", "meters", "others"];

const middles = (entities: readonly Entity[]): [number, number][] =>
  entities.flatMap((entity) => {
    const geometry = geometryOf(entity);
    const middle = geometry && middleOf(geometry);
    return middle ? [middle] : [];
  });

function inner(points: readonly [number, number][]): Bounds | undefined {
  const side = (axis: 0 | 1): [number, number] => {
    const sorted = points.map((point) => point[axis]).sort((a, b) => a - b);
    const out = Math.floor(sorted.length * OUTER_SHARE);
    return [sorted[out] ?? NaN, sorted[sorted.length - 1 - out] ?? NaN];
  };
  if (points.length === 0) return undefined;
  const [[west, east], [south, north]] = [side(0), side(1)];
  return [west, south, east, north];
}

/** The corners of all areas, islands included. */
function outer(areas: readonly Entity[]): Bounds | undefined {
  const corners = areas.flatMap((area): [number, number][] => {
    const geometry = geometryOf(area);
    if (geometry?.type === "Polygon") return (geometry.coordinates[0] ?? []) as [number, number][];
    if (geometry?.type === "MultiPolygon") return geometry.coordinates.flatMap((one) => (one[0] ?? []) as [number, number][]);
    return [];
  });
  if (corners.length === 0) return undefined;
  const reach = (axis: 0 | 1, pick: (a: number, b: number) => number): number => corners.reduce((found, corner) => pick(found, corner[axis]), corners[0]?.[axis] ?? 0);
  return [reach(0, Math.min), reach(1, Math.min), reach(0, Math.max), reach(1, Math.max)];
}

const span = ([west, south, east, north]: Bounds): number => Math.max(east - west, north - south);

export function homeOf(layers: Partial<Record<Layer, readonly Entity[]>>): Bounds | undefined {
  const areas = outer(layers.areas ?? []);
  const telling = TELLING.map((layer) => inner(middles(layers[layer] ?? []))).find((bounds) => bounds !== undefined);
  if (!areas || !telling) return areas ?? telling;
  return span(areas) <= span(telling) * AREAS_FACTOR_MAX ? areas : telling;
}

/** So much smaller around a place in it that some `most` of `all` things are expected there. */
export function shrunk([west, south, east, north]: Bounds, all: number, most: number, [lon, lat]: readonly [number, number]): Bounds {
  const share = all > most ? Math.sqrt(most / all) : 1;
  const towards = (edge: number, place: number): number => place + (edge - place) * share;
  return [towards(west, lon), towards(south, lat), towards(east, lon), towards(north, lat)];
}
