/** Colours of the map, by light: the canvas cannot read the page's style sheet. */
export interface Palette {
  beyond: string;
  land: string;
  sea: string;
  areaLine: string;
  roadEdge: string;
  road: string;
  building: { house: string; shared: string; work: string; public: string; other: string };
  line: string;
  ink: string;
  halo: string;
  vehicle: string;
  parking: string;
  full: string;
  weather: string;
  gauge: string;
  warning: string;
  danger: string;
  meter: string;
  shelter: string;
  other: string;
  chosen: string;
  light: string;
}

export const PALETTES: Record<"light" | "dark", Palette> = {
  light: {
    beyond: "#e4e6e2", land: "#f3f1ea", sea: "#c3dbe8", areaLine: "#8d95a0", roadEdge: "#d9d5c9", road: "#ffffff",
    building: { house: "#e2d9c8", shared: "#d9c9b0", work: "#c9d0d8", public: "#d8b9a8", other: "#dcd8cf" },
    line: "#4f83b5", ink: "#22303d", halo: "#fbfaf6", vehicle: "#1f4e79", parking: "#2a6fb0", full: "#a32d25",
    weather: "#5a4fa0", gauge: "#0f7a80", warning: "#b36b00", danger: "#a32d25", meter: "#8a7a35", shelter: "#1b6549",
    other: "#6b5a7a", chosen: "#d97706", light: "#ffffff",
  },
  dark: {
    beyond: "#0b1118", land: "#141c25", sea: "#0f2a3d", areaLine: "#55657a", roadEdge: "#141c25", road: "#2b3949",
    building: { house: "#33404d", shared: "#3c4654", work: "#3a4c60", public: "#54453f", other: "#36414d" },
    line: "#3f73a5", ink: "#dfe7ee", halo: "#10171f", vehicle: "#93c3ec", parking: "#7fb3e6", full: "#f39a90",
    weather: "#b7adf2", gauge: "#6fd0d4", warning: "#f2b857", danger: "#f39a90", meter: "#cdbf7a", shelter: "#74cba5",
    other: "#c2aed4", chosen: "#f2b857", light: "#dbe7ff",
  },
};
