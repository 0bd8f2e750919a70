/** The things in view as a list: the map for whoever does not use the map. */
import { geometryOf, middleOf, nameOf, typeOf, type Entity } from "../../api/entity";
import type { Bounds } from "../../map/bounds";
import { EVERYWHERE, LISTED, type Layer } from "../../map/layers";
import { typeName } from "../../words/names";
import type { Language } from "../../words/words";

export interface Listed {
  id: string;
  layer: Layer;
  name: string;
  kind: string;
  entity: Entity;
}

const isWithin = (entity: Entity, [west, south, east, north]: Bounds): boolean => {
  const geometry = geometryOf(entity);
  const middle = geometry && middleOf(geometry);
  return !!middle && middle[0] >= west && middle[0] <= east && middle[1] >= south && middle[1] <= north;
};

/** What is everywhere (buildings, roads) is listed only when it is searched for. */
export function listInView(
  layers: Partial<Record<Layer, Entity[]>>,
  hidden: ReadonlySet<Layer>,
  bounds: Bounds | undefined,
  sought: string,
  language: Language,
): Listed[] {
  const words = sought.trim().toLocaleLowerCase();
  const asked = LISTED.filter((layer) => !hidden.has(layer) && (words !== "" || !EVERYWHERE.has(layer)));
  return asked.flatMap((layer) =>
    (layers[layer] ?? [])
      .filter((entity) => !bounds || isWithin(entity, bounds))
      .map((entity) => ({ id: entity.id, layer, name: nameOf(entity, language), kind: typeName(typeOf(entity), language), entity }))
      .filter(({ name, kind, id }) => words === "" || `${name} ${kind} ${id}`.toLocaleLowerCase().includes(words))
      .sort((a, b) => a.name.localeCompare(b.name, language, { numeric: true })),
  );
}
