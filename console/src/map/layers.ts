/** Which layer of the map a type belongs to, and which layers change while one looks. */

/** From the ground up; also the order of the legend, read backwards. */
export const LAYERS = [
  "areas", "water", "roads", "buildings", "lines", "meters", "shelters", "others", "parking", "weather", "gauges", "vehicles",
] as const;
export type Layer = (typeof LAYERS)[number];

const OF_TYPE: Record<string, Layer> = {
  AdministrativeArea: "areas",
  River: "water", Sea: "water", Lake: "water", WaterBody: "water",
  Road: "roads", RoadSegment: "roads",
  Building: "buildings",
  PublicTransportRoute: "lines", PublicTransportStop: "lines", GtfsStop: "lines", GtfsShape: "lines",
  SmartMeteringObservation: "meters", WaterMeter: "meters",
  EvacuationShelter: "shelters", EmergencyEvacuationSite: "shelters",
  OffStreetParking: "parking", OnStreetParking: "parking",
  WeatherObserved: "weather", WeatherStation: "weather",
  WaterObserved: "gauges",
  Vehicle: "vehicles",
};

/** What the loop writes about the city is shown by Operations, not drawn as a thing in it. */
const OF_THE_LOOP = new Set(["Suggestion", "Decision", "Command", "Acknowledgement", "Effect"]);

const shortName = (type: string): string => type.split(/[/#]|^urn:renkei:v\d+:/).at(-1) ?? type;

export function layerOf(type: string): Layer | undefined {
  const short = shortName(type);
  return OF_THE_LOOP.has(short) ? undefined : (OF_TYPE[short] ?? "others");
}

/** Asked again and again; the rest is the ground on which they stand. */
export const LIVE: ReadonlySet<Layer> = new Set<Layer>(["parking", "weather", "gauges", "vehicles"]);
/** Many and slow: asked again less often. */
export const SLOW: ReadonlySet<Layer> = new Set<Layer>(["meters", "others"]);
export const GROUND: readonly Layer[] = LAYERS.filter((layer) => !LIVE.has(layer) && !SLOW.has(layer));
/** The list of things in view begins with what most people look for. */
export const LISTED: readonly Layer[] = [
  "gauges", "weather", "parking", "shelters", "vehicles", "others", "lines", "meters", "buildings", "roads", "water", "areas",
];
/** What the list of things in view leaves out until somebody searches: ground that is everywhere. */
export const EVERYWHERE: ReadonlySet<Layer> = new Set<Layer>(["areas", "water", "roads", "buildings"]);
export const HIDDEN_AT_FIRST: ReadonlySet<Layer> = new Set<Layer>(["meters"]);
