/** The text of a source while it is written. */
import type { Kind } from "./state";

/** The name that a text gives its source, as far as it can be seen. */
export const nameIn = (text: string): string => /^name:[ \t]*["']?([a-z0-9.-]+)["']?[ \t]*(?:#.*)?$/m.exec(text)?.[1] ?? "";

/** YAML knows no tabs: the first line that begins with one. */
export function lineWithTab(text: string): number | undefined {
  const at = text.split("\n").findIndex((line) => /^ *\t/.test(line));
  return at < 0 ? undefined : at + 1;
}

export interface Example {
  text: string;
  message: string;
}

export const EXAMPLES: Record<Kind, Example> = {
  push: {
    text: `name: gauges
title: River gauges
from: {push: {by: [device]}}
expect: PT30M
map:
  format: json
  time: {zone: Asia/Tokyo}
  source: {provider: the river office, licence: CC-BY-4.0}
  id: '"urn:ngsi-ld:RiverGauge:" + row.id'
  type: RiverGauge
  observedAt: time(row.at)
  attributes:
    waterLevel: {value: number(row.level_cm) / 100.0, unitCode: MTR}
    name: row.name
`,
    message: `{"id": "7", "at": "2026-11-27 13:00", "level_cm": "123", "name": "Kawabata"}
`,
  },
  poll: {
    text: `name: parking
title: Car parks
from: {poll: {url: 'https://data.example.jp/parking.csv', every: PT5M}}
expect: PT1H
map:
  format: csv
  id: '"urn:ngsi-ld:ParkingLot:" + row.id'
  type: ParkingLot
  attributes:
    availableSpaces: integer(row.free)
    location: {type: GeoProperty, value: 'point(row.lon, row.lat)'}
`,
    message: `id,free,lon,lat
1,12,139.81,35.67
2,0,139.82,35.68
`,
  },
  mqtt: {
    text: `name: soil
title: Soil moisture
from: {mqtt: {topic: soil/+/reading, by: [device]}}
expect: PT1H
map:
  format: json
  id: '"urn:ngsi-ld:SoilSensor:" + row.id'
  type: SoilSensor
  observedAt: epoch_s(row.t)
  attributes:
    moisture: {value: number(row.moisture), unitCode: P1}
`,
    message: `{"id": "a1", "t": 1795752000, "moisture": 31.5}
`,
  },
};
