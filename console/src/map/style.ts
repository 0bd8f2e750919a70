/** The map's style: one source for each layer, no address outside, no glyph server. */
import type { ExpressionSpecification, LayerSpecification, StyleSpecification } from "maplibre-gl";
import type { Palette } from "./palette";
import { LAYERS, type Layer } from "./layers";

const NOTHING = { type: "FeatureCollection" as const, features: [] };
/** Drawn in the browser from the page's own fonts; the name only says how heavy. */
const FONT = ["Medium"];
const VALUE_FONT = ["Bold"];
/** Metres of width stay metres when one zooms. */
const widening = (at12: number, at17: number): ExpressionSpecification => [
  "interpolate", ["exponential", 1.6], ["zoom"], 12, at12, 17, at17,
];

function ground(colour: Palette): LayerSpecification[] {
  const use = colour.building;
  return [
    { id: "beyond", type: "background", paint: { "background-color": colour.beyond } },
    { id: "areas", type: "fill", source: "areas", paint: { "fill-color": colour.land } },
    { id: "water", type: "fill", source: "water", paint: { "fill-color": colour.sea } },
    {
      id: "roads-edge", type: "line", source: "roads", layout: { "line-cap": "round" },
      paint: { "line-color": colour.roadEdge, "line-width": ["interpolate", ["exponential", 1.6], ["zoom"], 12, ["case", ["get", "wide"], 2.4, 1.4], 17, ["case", ["get", "wide"], 24, 15]] },
    },
    {
      id: "roads", type: "line", source: "roads", layout: { "line-cap": "round" },
      paint: { "line-color": colour.road, "line-width": ["interpolate", ["exponential", 1.6], ["zoom"], 12, ["case", ["get", "wide"], 1.6, 0.8], 17, ["case", ["get", "wide"], 20, 12]] },
    },
    { id: "areas-line", type: "line", source: "areas", paint: { "line-color": colour.areaLine, "line-width": 1, "line-dasharray": [4, 3], "line-opacity": 0.7 } },
    {
      id: "lines", type: "line", source: "lines", filter: ["==", ["geometry-type"], "LineString"],
      paint: { "line-color": colour.line, "line-width": widening(1.5, 5), "line-opacity": 0.55 },
    },
    {
      id: "buildings", type: "fill-extrusion", source: "buildings",
      paint: {
        "fill-extrusion-color": ["match", ["get", "use"], "house", use.house, "shared", use.shared, "work", use.work, "public", use.public, use.other],
        "fill-extrusion-height": ["get", "height"],
        "fill-extrusion-opacity": 0.92,
        "fill-extrusion-vertical-gradient": true,
      },
    },
  ];
}

const dot = (layer: Layer, colour: string | ExpressionSpecification, halo: string, radius: number): LayerSpecification => ({
  id: layer, type: "circle", source: layer, filter: ["==", ["geometry-type"], "Point"],
  paint: {
    "circle-color": colour, "circle-stroke-color": halo, "circle-stroke-width": 1.5,
    "circle-radius": ["interpolate", ["linear"], ["zoom"], 12, radius * 0.7, 16, radius * 1.3],
  },
});

/** A value in a pill: the text is what a person looks for, so it is the mark itself. */
const pill = (layer: Layer, colour: string | ExpressionSpecification, halo: string): LayerSpecification => ({
  id: layer, type: "symbol", source: layer,
  layout: {
    "text-field": ["get", "label"], "text-font": VALUE_FONT, "text-size": 14, "text-offset": [0, -1.1],
  },
  paint: { "text-color": colour, "text-halo-color": halo, "text-halo-width": 2.4 },
});

function things(colour: Palette): LayerSpecification[] {
  const level: ExpressionSpecification = ["match", ["get", "level"], "danger", colour.danger, "warning", colour.warning, colour.gauge];
  const room: ExpressionSpecification = ["case", ["get", "full"], colour.full, colour.parking];
  const stops = { ...dot("lines", colour.halo, colour.line, 3.5), id: "stops", minzoom: 13.5 } as LayerSpecification;
  const marks = (layer: Layer, paint: string | ExpressionSpecification): LayerSpecification[] => [
    { ...dot(layer, paint, colour.halo, 6), id: `${layer}-dot` },
    pill(layer, paint, colour.halo),
  ];
  return [
    // Below the things, so that a name makes way for a value.
    {
      id: "names", type: "symbol", source: "names", maxzoom: 15.5,
      layout: {
        "text-field": ["get", "label"], "text-font": FONT, "text-size": 14, "text-letter-spacing": 0.08, "text-padding": 4,
        "text-variable-anchor": ["center", "top", "bottom", "left", "right"], "text-radial-offset": 0.8, "text-justify": "auto",
      },
      paint: { "text-color": colour.ink, "text-halo-color": colour.halo, "text-halo-width": 2 },
    },
    stops,
    dot("meters", colour.meter, colour.halo, 3),
    dot("shelters", colour.shelter, colour.halo, 5),
    { id: "others-line", type: "line", source: "others", filter: ["!=", ["geometry-type"], "Point"], paint: { "line-color": colour.other, "line-width": 2 } },
    dot("others", colour.other, colour.halo, 5),
    ...marks("parking", room),
    ...marks("weather", colour.weather),
    ...marks("gauges", level),
    {
      id: "vehicles", type: "symbol", source: "vehicles",
      layout: {
        "icon-image": "bus", "icon-rotate": ["get", "heading"], "icon-rotation-alignment": "map", "icon-pitch-alignment": "viewport", "icon-allow-overlap": true,
        "icon-ignore-placement": true, "icon-size": ["interpolate", ["linear"], ["zoom"], 12, 0.75, 16, 1.1],
      },
      paint: { "icon-opacity": ["case", ["get", "parked"], 0.45, 1] },
    },
    {
      id: "shelter-names", type: "symbol", source: "shelters", minzoom: 15,
      layout: { "text-field": ["get", "label"], "text-font": FONT, "text-size": 12, "text-offset": [0, 1.2], "text-anchor": "top" },
      paint: { "text-color": colour.shelter, "text-halo-color": colour.halo, "text-halo-width": 1.8 },
    },
    {
      id: "chosen", type: "circle", source: "chosen",
      paint: { "circle-radius": 11, "circle-color": "transparent", "circle-stroke-color": colour.chosen, "circle-stroke-width": 3 },
    },
  ];
}

export function styleOf(colour: Palette): StyleSpecification {
  const sources = Object.fromEntries([...LAYERS, "names", "chosen"].map((id) => [id, { type: "geojson" as const, data: NOTHING }]));
  return {
    version: 8,
    sources,
    layers: [...ground(colour), ...things(colour)],
    light: { anchor: "viewport", color: colour.light, intensity: 0.35, position: [1.3, 210, 35] },
  };
}

/** The style's layers that show one layer of the legend. */
export const DRAWN_BY: Record<Layer, readonly string[]> = {
  areas: ["areas-line", "names"],
  water: ["water"],
  roads: ["roads-edge", "roads"],
  buildings: ["buildings"],
  lines: ["lines", "stops"],
  meters: ["meters"],
  shelters: ["shelters", "shelter-names"],
  others: ["others-line", "others"],
  parking: ["parking-dot", "parking"],
  weather: ["weather-dot", "weather"],
  gauges: ["gauges-dot", "gauges"],
  vehicles: ["vehicles"],
};

/** What a click finds first: small things before large ones. */
export const CLICKABLE = [
  "vehicles", "gauges", "gauges-dot", "weather", "weather-dot", "parking", "parking-dot", "shelters", "others", "meters",
  "stops", "buildings", "others-line", "lines", "roads", "water",
] as const;
