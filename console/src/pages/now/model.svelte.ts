/** What the map and the list show: the ground once, what lives again and again, all of it as it was when asked so. */
import { attributesOf, type Entity } from "../../api/entity";
import { isAbort } from "../../api/http";
import { listTypes, queryAll, queryEntities, readings, LIMIT_MAX } from "../../api/ngsi";
import { clock } from "../../clock.svelte";
import { GROUND, layerOf, LIVE, SLOW, type Layer } from "../../map/layers";
import { Tracks } from "../../map/tracks";
import { poll } from "../../poll";

export type Bounds = readonly [west: number, south: number, east: number, north: number];

const LIVE_EVERY_MS = 2_000;
const SLOW_EVERY_MS = 15_000;
/** Types larger than this are asked for by what is in view. */
const WHOLE_MAX = 5_000;
const IN_VIEW_MAX = 3_000;
/** More vehicles than this are not played back, only set. */
const TRACKED_MAX = 200;
/** The ground is drawn, not read: only what decides its look. */
const GROUND_ATTRS =
  "location,name,category,height,measuredHeight,floorsAboveGround,storeysAboveGround,totalLaneNumber,capacity,meterType";

export interface Partly {
  type: string;
  shown: number;
  all: number;
}

const newestOf = (entities: readonly Entity[]): string =>
  entities.flatMap(attributesOf).reduce((newest, { observedAt }) => (observedAt > newest ? observedAt : newest), "");

/** What names and places a thing is often written after its first readings: where the past lacks it, that of now stands. */
const STANDING = ["name", "location", "totalSpotNumber", "standbyLevel", "cautionLevel", "evacuationLevel", "dangerLevel"];

export function placedAsNow(past: Entity, now: Entity | undefined): Entity {
  const missing = STANDING.flatMap((name) => {
    const value = past[name] === undefined ? now?.[name] : undefined;
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...past, ...Object.fromEntries(missing) };
}

export class Model {
  layers = $state.raw<Partial<Record<Layer, Entity[]>>>({});
  partly = $state.raw<Partly[]>([]);
  phase = $state<"loading" | "ready" | "failed">("loading");
  failure = $state.raw<unknown>(undefined);
  /** The last answer of what lives is missing. */
  isLost = $state(false);
  at = $state<string | undefined>(undefined);
  readonly tracks = new Tracks();

  #types = new Map<Layer, string[]>();
  /** The last state of now, by id. */
  #now = new Map<string, Entity>();
  #large: { layer: Layer; type: string }[] = [];
  #bounds: Bounds | undefined;
  #stop: (() => void)[] = [];
  #inView: AbortController | undefined;
  #past: AbortController | undefined;

  async start(): Promise<void> {
    this.stop();
    this.phase = "loading";
    try {
      for (const { name } of await listTypes()) {
        const layer = layerOf(name);
        if (layer) this.#types.set(layer, [...(this.#types.get(layer) ?? []), name]);
      }
      await this.#readGround();
      this.phase = "ready";
    } catch (error) {
      this.failure = error;
      this.phase = "failed";
      return;
    }
    this.#stop = [poll(LIVE_EVERY_MS, (signal) => this.#live(signal)), poll(SLOW_EVERY_MS, (signal) => this.#slow(signal))];
  }

  stop(): void {
    this.#stop.forEach((stop) => stop());
    this.#stop = [];
    this.#inView?.abort();
    this.#past?.abort();
  }

  /** The city as it was; undefined is now. */
  async show(at: string | undefined): Promise<void> {
    this.at = at;
    this.#past?.abort();
    this.tracks.clear();
    const { signal } = (this.#past = new AbortController());
    await this.#attempt(async () => {
      await Promise.all([this.#readLive(signal, at), this.#readSlow(signal, at)]);
    });
  }

  /** Large types follow the view. */
  async look(bounds: Bounds): Promise<void> {
    this.#bounds = bounds;
    if (this.#large.length === 0) return;
    this.#inView?.abort();
    const { signal } = (this.#inView = new AbortController());
    await this.#attempt(() => this.#readInView(signal));
  }

  #set(layer: Layer, entities: Entity[]): void {
    this.layers = { ...this.layers, [layer]: entities };
  }

  #typesOf(layers: Iterable<Layer>): string {
    return [...layers].flatMap((layer) => this.#types.get(layer) ?? []).join(",");
  }

  async #attempt(question: () => Promise<void>): Promise<void> {
    try {
      await question();
      this.isLost = false;
    } catch (error) {
      if (!isAbort(error)) this.isLost = true;
    }
  }

  async #readGround(): Promise<void> {
    for (const layer of GROUND) {
      for (const type of this.#types.get(layer) ?? []) await this.#readWhole(layer, type);
    }
  }

  async #readWhole(layer: Layer, type: string): Promise<void> {
    const query = { type, attrs: GROUND_ATTRS, simplified: true };
    const first = await queryEntities({ ...query, limit: LIMIT_MAX, count: true });
    const all = first.count ?? first.entities.length;
    if (all > WHOLE_MAX) {
      this.#large.push({ layer, type });
      this.partly = [...this.partly, { type, shown: first.entities.length, all }];
    }
    const rest = all > WHOLE_MAX || all <= LIMIT_MAX ? first : await queryAll(query, WHOLE_MAX);
    this.#set(layer, [...(this.layers[layer] ?? []), ...rest.entities]);
  }

  async #readInView(signal: AbortSignal): Promise<void> {
    for (const { layer, type } of this.#large) {
      const query = { type, attrs: GROUND_ATTRS, simplified: true, within: this.#bounds };
      const found = await queryAll(query, IN_VIEW_MAX, { signal });
      this.#set(layer, found.entities);
      const all = found.count ?? found.entities.length;
      const others = this.partly.filter((one) => one.type !== type);
      this.partly = all > found.entities.length ? [...others, { type, shown: found.entities.length, all }] : others;
    }
  }

  async #live(signal: AbortSignal): Promise<void> {
    if (this.at !== undefined) return;
    await this.#attempt(async () => {
      await this.#readLive(signal, undefined);
      await this.#track(signal);
    });
  }

  async #slow(signal: AbortSignal): Promise<void> {
    if (this.at === undefined) await this.#attempt(() => this.#readSlow(signal, undefined));
  }

  async #readLive(signal: AbortSignal, at: string | undefined): Promise<void> {
    const type = this.#typesOf(LIVE);
    if (!type) return;
    const { entities } = await queryAll({ type, at }, IN_VIEW_MAX, { signal });
    if (at !== this.at) return;
    if (at === undefined) clock.observe(newestOf(entities));
    this.#sort(LIVE, entities);
  }

  async #readSlow(signal: AbortSignal, at: string | undefined): Promise<void> {
    const type = this.#typesOf(SLOW);
    if (!type) return;
    const { entities } = await queryAll({ type, at, simplified: true }, IN_VIEW_MAX, { signal });
    if (at === this.at) this.#sort(SLOW, entities);
  }

  #sort(layers: ReadonlySet<Layer>, entities: Entity[]): void {
    const sorted = { ...this.layers };
    for (const layer of layers) sorted[layer] = [];
    for (const found of entities) {
      const entity = this.at === undefined ? found : placedAsNow(found, this.#now.get(found.id));
      if (this.at === undefined) this.#now.set(found.id, found);
      const types = Array.isArray(entity.type) ? entity.type : [entity.type];
      const layer = types.map(layerOf).find((found) => found && layers.has(found));
      if (layer) sorted[layer]?.push(entity);
    }
    this.layers = sorted;
  }

  async #track(signal: AbortSignal): Promise<void> {
    const vehicles = this.layers.vehicles ?? [];
    if (vehicles.length === 0 || vehicles.length > TRACKED_MAX) return;
    // Before the first answer: as far back as one answer reaches.
    const from = this.tracks.knownUntil ?? clock.told - LIVE_EVERY_MS * clock.pace;
    const asked = { type: this.#typesOf(["vehicles"]), attribute: "location", from: new Date(from).toISOString() };
    this.tracks.add(await readings(asked, { signal }), Date.now(), LIVE_EVERY_MS);
  }
}
