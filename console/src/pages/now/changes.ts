/** What was heard of the city, put into what is known of it. */
import type { Entity } from "../../api/entity";
import type { CityEvent } from "../../api/stream";

export const isOf = (type: string | readonly string[], name: string): boolean => (Array.isArray(type) ? type.includes(name) : type === name);

/** The list with what was heard: others stay where they are, what is new stands at the end. */
export function withChanges(entities: readonly Entity[], events: readonly CityEvent[]): Entity[] {
  const found = new Map(entities.map((entity) => [entity.id, entity]));
  for (const { change, entity } of events) {
    if (change === "deleted") found.delete(entity.id);
    else found.set(entity.id, entity);
  }
  return [...found.values()];
}
