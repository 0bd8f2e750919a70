/** An answer as a file. */
import { geometryOf, middleOf, type Entity, type Json } from "../../api/entity";
import { csv } from "../../format";

const ALWAYS = ["id", "type"];
const SET_APART = new Set(["id", "type", "location", "scope"]);

/** All attributes that occur, in the order in which they do. */
export const columnsOf = (entities: readonly Entity[]): string[] => [
  ...new Set(entities.flatMap((entity) => Object.keys(entity).filter((name) => !SET_APART.has(name)))),
];

export function csvOf(entities: readonly Entity[]): string {
  const rows = entities.map((entity): Record<string, Json> => {
    const geometry = geometryOf(entity);
    const [lon, lat] = (geometry && middleOf(geometry)) ?? [null, null];
    return { ...entity, longitude: lon, latitude: lat };
  });
  return csv([...ALWAYS, "longitude", "latitude", ...columnsOf(entities)], rows);
}

export function geojsonOf(entities: readonly Entity[]): string {
  const features = entities.map((entity) => {
    const properties = Object.fromEntries(Object.entries(entity).filter(([name]) => name !== "id" && name !== "location"));
    return { type: "Feature", id: entity.id, geometry: geometryOf(entity) ?? null, properties };
  });
  return JSON.stringify({ type: "FeatureCollection", features });
}
