/** What the map and the list show: all of it once, then what changes as it changes; and the city as it was when asked so. */
import { attributeOf, attributesOf, type Entity } from "../../api/entity";
import { isAbort } from "../../api/http";
import { countEntities, listTypes, queryAll, queryEntities, readings, type Reading } from "../../api/ngsi";
import { followStream, type CityEvent, type Connection } from "../../api/stream";
import { clock } from "../../clock.svelte";
import { shrunk, type Bounds } from "../../map/bounds";
import { LAYERS, layerOf, LIVE, SLOW, type Layer } from "../../map/layers";
import { Tracks } from "../../map/tracks";
import { poll } from "../../poll";
import { isOf, withChanges } from "./changes";

/** Where the server offers no stream. */
const LIVE_EVERY_MS = 2_000;
const SLOW_EVERY_MS = 15_000;
/** What was heard is drawn together, so often. */
const DRAWN_EVERY_MS = 1_000;
/** A list of types longer than this is not sent: then all changes are heard, and those of other types passed over. */
const TYPES_CHARS_MAX = 4_000;
/** Types larger than this are asked for by what is in view. */
const WHOLE_MAX = 5_000;
const IN_VIEW_MAX = 3_000;
/** Types larger than this are asked for as seldom as the slow ones: every answer is the whole of them. */
const LIVE_MAX = 500;
/** To see where a large type lies before anybody has looked: so many of it, from so many places of its order. */
const SAMPLE = 100;
const SAMPLED_AT = [0, 0.3, 0.6, 0.9];
/** How often the part of the view that is asked for is made smaller, where things stand closer than expected. */
const ROUNDS_MAX = 4;
/** More vehicles than this are not played back, only set. */
const TRACKED_MAX = 200;
/** The ground is drawn, not read: only what decides its look. */
const GROUND_ATTRS =
  "location,name,category,height,measuredHeight,floorsAboveGround,storeysAboveGround,totalLaneNumber,capacity,meterType";

/** How a type is kept up to date. */
type Pace = "ground" | "live" | "slow" | "by-view";

interface Kind {
  name: string;
  layer: Layer;
  pace: Pace;
}

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
  connection = $state<Connection>("opening");
  /** The thing somebody looks at, as it was last heard of. */
  heard = $state.raw<Entity | undefined>(undefined);
  watched = "";
  /** The last answer to a question is missing. */
  #isUnanswered = $state(false);
  /** Too large to be drawn whole. */
  isLarge = $state(false);
  at = $state<string | undefined>(undefined);
  readonly tracks = new Tracks();

  #turn = 0;
  #kinds: Kind[] = [];
  #found = new Map<string, Entity[]>();
  /** The last state of now, by id. */
  #now = new Map<string, Entity>();
  #trackedAt = 0;
  /** What was heard and is not drawn yet, by id: the last of each. */
  #pending = new Map<string, CityEvent>();
  #driven = new Map<string, Reading[]>();
  #drawing: ReturnType<typeof setTimeout> | undefined;
  #polls: (() => void)[] = [];
  #look: [Bounds, readonly [number, number]] | undefined;
  #stop: (() => void)[] = [];
  #inView: AbortController | undefined;
  #past: AbortController | undefined;

  get isLost(): boolean {
    return this.connection === "lost" || this.#isUnanswered;
  }

  /** Whether changes of a thing of this type are told by themselves. */
  isTold(types: string | readonly string[]): boolean {
    const kinds = this.#kinds.filter(({ pace }) => pace !== "by-view");
    return this.connection === "live" && kinds.some(({ name }) => isOf(types, name));
  }

  async start(): Promise<void> {
    this.stop();
    const turn = this.#turn;
    [this.phase, this.partly, this.layers, this.connection, this.#isUnanswered] = ["loading", [], {}, "opening", false];
    this.#found.clear();
    try {
      await this.#readKinds();
      for (const kind of this.#kinds) {
        if (turn !== this.#turn) return;
        if (kind.pace === "ground") await this.#readGround(kind);
        if (kind.pace === "by-view") await this.#sample(kind);
      }
      this.phase = "ready";
    } catch (error) {
      [this.failure, this.phase] = [error, "failed"];
      return;
    }
    // Somebody left the page, or began again, while this was read.
    if (turn !== this.#turn) return;
    if (this.#look) void this.look(...this.#look);
    this.#follow();
  }

  #follow(): void {
    const type = this.#kinds.filter(({ pace }) => pace !== "by-view").map(({ name }) => name).join(",");
    const stop = followStream(type.length > 0 && type.length <= TYPES_CHARS_MAX ? { type } : {}, {
      onfresh: (signal) => this.#readAnew(signal),
      onevent: (event) => this.#hear(event),
      onconnection: (connection, why) => {
        if (why?.status === 401) {
          // The session ended, or the token did: asking again and again would not help.
          this.stop();
          [this.failure, this.phase] = [why, "failed"];
          return;
        }
        this.connection = connection;
        if (connection === "live") this.#isUnanswered = false;
        this.#ask(connection === "refused");
      },
    });
    this.#stop = [stop];
  }

  /** Asks again and again, where nothing is told. */
  #ask(isWanted: boolean): void {
    if (isWanted === this.#polls.length > 0) return;
    this.#polls.forEach((stop) => stop());
    this.#polls = isWanted ? [poll(LIVE_EVERY_MS, (signal) => this.#live(signal)), poll(SLOW_EVERY_MS, (signal) => this.#slow(signal))] : [];
  }

  async #readAnew(signal: AbortSignal): Promise<void> {
    if (this.at === undefined) await Promise.all([this.#read("live", signal, undefined), this.#read("slow", signal, undefined)]);
  }

  #hear(event: CityEvent): void {
    // The past is shown: coming back to now asks for what is.
    if (this.at !== undefined) return;
    const { entity } = event;
    this.#pending.set(entity.id, event);
    if (event.attributes.includes("location") && this.#isLayer(entity, "vehicles")) {
      const place = attributeOf(entity, "location");
      if (place) this.#driven.set(entity.id, [...(this.#driven.get(entity.id) ?? []), { value: place.value, at: place.observedAt || event.time }]);
    }
    this.#drawing ??= setTimeout(() => this.#drawHeard(), DRAWN_EVERY_MS);
  }

  #isLayer({ type }: Entity, layer: Layer): boolean {
    return this.#kinds.some((kind) => kind.layer === layer && isOf(type, kind.name));
  }

  #drawHeard(): void {
    this.#drawing = undefined;
    const events = [...this.#pending.values()];
    this.#pending.clear();
    if (this.at !== undefined) return void this.#driven.clear();
    clock.observe(events.reduce((newest, { time }) => (time > newest ? time : newest), ""));
    for (const { change, entity } of events) {
      if (change === "deleted") this.#now.delete(entity.id);
      else this.#now.set(entity.id, entity);
      if (entity.id === this.watched && change !== "deleted") this.heard = entity;
    }
    for (const kind of this.#kinds.filter(({ pace }) => pace !== "by-view")) {
      const own = events.filter(({ entity }) => isOf(entity.type, kind.name));
      if (own.length > 0) this.#set(kind, withChanges(this.#found.get(kind.name) ?? [], own));
    }
    const [driven, here, before] = [this.#driven, Date.now(), this.#trackedAt];
    this.#driven = new Map();
    if (driven.size === 0 || (this.layers.vehicles ?? []).length > TRACKED_MAX) return;
    this.#trackedAt = here;
    this.tracks.add(driven, here, before ? Math.min(here - before, 3 * LIVE_EVERY_MS) : LIVE_EVERY_MS);
  }

  stop(): void {
    this.#turn += 1;
    this.#stop.forEach((stop) => stop());
    this.#stop = [];
    this.#ask(false);
    clearTimeout(this.#drawing);
    this.#drawing = undefined;
    this.#pending.clear();
    this.#driven.clear();
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
      await Promise.all([this.#read("live", signal, at), this.#read("slow", signal, at)]);
    });
  }

  /** Large types follow the view and the place that it is centred on. */
  async look(bounds: Bounds, middle: readonly [number, number]): Promise<void> {
    this.#look = [bounds, middle];
    this.#inView?.abort();
    const large = this.#kinds.filter(({ pace }) => pace === "by-view");
    if (large.length === 0 || this.phase === "loading") return;
    const { signal } = (this.#inView = new AbortController());
    await this.#attempt(async () => {
      for (const kind of large) await this.#readInView(kind, bounds, middle, signal);
    });
  }

  #set(kind: Kind, entities: Entity[]): void {
    this.#found.set(kind.name, entities);
    const parts = this.#kinds.filter(({ layer }) => layer === kind.layer).map(({ name }) => this.#found.get(name) ?? []);
    this.layers = { ...this.layers, [kind.layer]: parts.length === 1 ? entities : parts.flat() };
  }

  #names(pace: Pace): string {
    return this.#kinds.filter((kind) => kind.pace === pace).map(({ name }) => name).join(",");
  }

  async #attempt(question: () => Promise<void>): Promise<void> {
    try {
      await question();
      this.#isUnanswered = false;
    } catch (error) {
      if (!isAbort(error)) this.#isUnanswered = true;
    }
  }

  async #readKinds(): Promise<void> {
    const kinds: Kind[] = [];
    for (const { name } of await listTypes()) {
      const layer = layerOf(name);
      if (!layer) continue;
      const count = await countEntities({ type: name });
      const usual: Pace = LIVE.has(layer) ? "live" : SLOW.has(layer) ? "slow" : "ground";
      const pace = count > WHOLE_MAX ? "by-view" : usual === "live" && count > LIVE_MAX ? "slow" : usual;
      kinds.push({ name, layer, pace });
    }
    this.isLarge = kinds.some(({ pace }) => pace === "by-view");
    this.#kinds = kinds.sort((a, b) => LAYERS.indexOf(a.layer) - LAYERS.indexOf(b.layer));
  }

  async #readGround(kind: Kind): Promise<void> {
    this.#set(kind, (await queryAll({ type: kind.name, attrs: GROUND_ATTRS, simplified: true }, WHOLE_MAX)).entities);
  }

  async #sample(kind: Kind): Promise<void> {
    const query = { type: kind.name, attrs: GROUND_ATTRS, simplified: true, limit: SAMPLE };
    const all = await countEntities(query);
    const parts = await Promise.all(SAMPLED_AT.map((share) => queryEntities({ ...query, offset: Math.floor(all * share) })));
    this.#set(kind, parts.flatMap(({ entities }) => entities));
  }

  /** As many as can be drawn, around the middle of the view; told when it is not all. */
  async #readInView(kind: Kind, bounds: Bounds, middle: readonly [number, number], signal: AbortSignal): Promise<void> {
    const query = { type: kind.name, attrs: GROUND_ATTRS, simplified: true };
    const all = await countEntities({ ...query, within: bounds }, { signal });
    let [within, count] = [bounds, all];
    for (let round = 0; count > IN_VIEW_MAX && round < ROUNDS_MAX; round += 1) {
      within = shrunk(within, count, IN_VIEW_MAX, middle);
      count = await countEntities({ ...query, within }, { signal });
    }
    const { entities } = await queryAll({ ...query, within }, IN_VIEW_MAX, { signal });
    this.#set(kind, entities);
    const others = this.partly.filter((one) => one.type !== kind.name);
    this.partly = all > entities.length ? [...others, { type: kind.name, shown: entities.length, all }] : others;
  }

  async #live(signal: AbortSignal): Promise<void> {
    if (this.at !== undefined) return;
    await this.#attempt(async () => {
      await this.#read("live", signal, undefined);
      await this.#track(signal);
    });
  }

  async #slow(signal: AbortSignal): Promise<void> {
    if (this.at === undefined) await this.#attempt(() => this.#read("slow", signal, undefined));
  }

  async #read(pace: "live" | "slow", signal: AbortSignal, at: string | undefined): Promise<void> {
    const type = this.#names(pace);
    if (!type) return;
    const { entities } = await queryAll({ type, at, simplified: pace === "slow" }, WHOLE_MAX, { signal });
    if (at !== this.at) return;
    if (at === undefined && pace === "live") clock.observe(newestOf(entities));
    const shown = entities.map((entity) => (at === undefined ? entity : placedAsNow(entity, this.#now.get(entity.id))));
    if (at === undefined) for (const entity of entities) this.#now.set(entity.id, entity);
    for (const kind of this.#kinds.filter((one) => one.pace === pace)) {
      this.#set(kind, shown.filter((entity) => isOf(entity.type, kind.name)));
    }
  }

  async #track(signal: AbortSignal): Promise<void> {
    const vehicles = this.layers.vehicles ?? [];
    const type = this.#kinds.filter(({ layer, pace }) => layer === "vehicles" && pace === "live").map(({ name }) => name).join(",");
    if (!type || vehicles.length === 0 || vehicles.length > TRACKED_MAX) return;
    // Before the first answer: as far back as one answer reaches.
    const from = this.tracks.knownUntil ?? clock.told - LIVE_EVERY_MS * clock.pace;
    const asked = { type, attribute: "location", from: new Date(from).toISOString() };
    const found = await readings(asked, { signal });
    // Played for as long as the answers are apart, so that nothing stands still while the next one is awaited.
    const [here, before] = [Date.now(), this.#trackedAt];
    this.#trackedAt = here;
    this.tracks.add(found, here, before ? Math.min(here - before, 3 * LIVE_EVERY_MS) : LIVE_EVERY_MS);
  }
}
