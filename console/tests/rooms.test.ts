import { describe, expect, it } from "vitest";
import { attributesOf, inLanguage, lastPart, middleOf, nameOf, type Entity } from "../src/api/entity";
import type { Suggestion } from "../src/api/ops";
import { paceOf } from "../src/pace";
import { csv, duration, plain } from "../src/format";
import { homeOf, shrunk } from "../src/map/bounds";
import { featureOf, gaugeLevel } from "../src/map/features";
import { layerOf } from "../src/map/layers";
import { placeOn, Tracks } from "../src/map/tracks";
import { csvOf, geojsonOf } from "../src/pages/explore/files";
import { curlOf, emptyQuestion, queryOf, termOf, wrongWith } from "../src/pages/explore/question";
import { listInView } from "../src/pages/now/inView";
import { altered, editable } from "../src/pages/operations/alter";
import { ranked, step, urgencyOf } from "../src/pages/operations/rank";
import { path, readPlace } from "../src/places";
import { isTokenShape, wrongWith as wrongToken } from "../src/shell/token";

const gauge: Entity = {
  id: "urn:ngsi-ld:WaterObserved:Minatomachi:Upper",
  type: "WaterObserved",
  name: { type: "LanguageProperty", languageMap: { ja: "上流", en: "Upper" } },
  location: { type: "GeoProperty", value: { type: "Point", coordinates: [142.5, 34.21] } },
  waterLevel: { type: "Property", value: 2.31, unitCode: "MTR", observedAt: "2026-07-01T06:00:00Z" },
  cautionLevel: { type: "Property", value: 2.2, unitCode: "MTR" },
  evacuationLevel: { type: "Property", value: 3, unitCode: "MTR" },
  river: { type: "Relationship", object: "urn:ngsi-ld:River:Minatomachi:Minato" },
};

describe("an entity", () => {
  it("gives its attributes with kind, unit and time", () => {
    const [, , level] = attributesOf(gauge);
    expect(level).toEqual({ name: "waterLevel", kind: "Property", value: 2.31, unitCode: "MTR", observedAt: "2026-07-01T06:00:00Z", datasetId: "" });
    expect(attributesOf(gauge).at(-1)).toMatchObject({ kind: "Relationship", value: "urn:ngsi-ld:River:Minatomachi:Minato" });
  });

  it("is called in the language of the reader, else by its id", () => {
    expect([nameOf(gauge, "ja"), nameOf(gauge, "en")]).toEqual(["上流", "Upper"]);
    const simple: Entity = { id: "urn:ngsi-ld:A:1:2", type: "A", name: { languageMap: { en: "One" } } };
    expect([nameOf(simple, "ja"), nameOf({ id: "urn:ngsi-ld:A:1:2", type: "A" }, "ja")]).toEqual(["One", "1:2"]);
    expect([inLanguage({ ja: "川" }, "en"), lastPart("https://example.org/x/Building")]).toEqual(["川", "Building"]);
  });

  it("stands in the middle of its bounds", () => {
    expect(middleOf({ type: "Polygon", coordinates: [[[0, 0], [4, 0], [4, 2], [0, 0]]] })).toEqual([2, 1]);
    expect(middleOf({ type: "Polygon", coordinates: [] })).toBeUndefined();
  });
});

describe("the map", () => {
  it("knows layers by type, full names too, and leaves out what the loop writes", () => {
    expect(["Building", "https://uri.fiware.org/ns/Vehicle", "Dragon", "Suggestion", "urn:renkei:v1:Suggestion"].map(layerOf)).toEqual(["buildings", "vehicles", "others", undefined, undefined]);
  });

  it("labels a gauge with its level and colours it by the gauge's own limits", () => {
    expect(featureOf("gauges", gauge, "en")?.properties).toMatchObject({ label: "2.31 m", level: "warning", name: "Upper" });
    expect(gaugeLevel({ ...gauge, waterLevel: { type: "Property", value: 3 } })).toBe("danger");
    expect(gaugeLevel({ ...gauge, waterLevel: { type: "Property", value: 1 } })).toBe("normal");
  });

  it("draws a height that nobody knows flat", () => {
    const location = { type: "Point", coordinates: [0, 0] };
    const height = (more: Record<string, number>): unknown => featureOf("buildings", { id: "b", type: "Building", location, ...more }, "en")?.properties["height"];
    expect([height({}), height({ height: 12 }), height({ floorsAboveGround: 5 })]).toEqual([0, 12, 16]);
  });

  it("plays a path back along its fixes, and stands at its ends", () => {
    const path = [{ at: 0, lon: 0, lat: 0 }, { at: 10, lon: 1, lat: 0 }, { at: 20, lon: 1, lat: 1 }];
    expect(placeOn(path, 5)).toEqual({ lon: 0.5, lat: 0, heading: 90 });
    expect(placeOn(path, 15)).toMatchObject({ lon: 1, lat: 0.5, heading: 0 });
    expect([placeOn(path, -5)?.lon, placeOn(path, 99)?.lat, placeOn([], 1)]).toEqual([0, 1, undefined]);
  });

  it("is one answer late and never jumps back", () => {
    const tracks = new Tracks();
    const fix = (at: number, lon: number): { at: string; value: { type: string; coordinates: number[] } } => ({ at: new Date(at).toISOString(), value: { type: "Point", coordinates: [lon, 0] } });
    tracks.add(new Map([["bus", [fix(1000, 1), fix(2000, 2)]]]), 0, 100);
    expect(tracks.placeOf("bus", 0)?.lon).toBe(2);
    tracks.add(new Map([["bus", [fix(2000, 2), fix(4000, 4)]]]), 100, 100);
    expect([tracks.placeOf("bus", 100)?.lon, tracks.placeOf("bus", 150)?.lon, tracks.placeOf("bus", 900)?.lon]).toEqual([2, 3, 4]);
    expect([tracks.isMoving(150), tracks.isMoving(201), tracks.knownUntil]).toEqual([true, false, 4000]);
    expect(tracks.placeOf("other", 0)).toBeUndefined();
  });

  it("looks at the city, not at the island or the prefecture around it", () => {
    const place = (lon: number, lat: number): Entity => ({ id: "x", type: "A", location: { type: "Point", coordinates: [lon, lat] } });
    const area = (west: number, south: number, east: number, north: number): Entity => ({ id: "a", type: "B", location: { type: "Polygon", coordinates: [[[west, south], [east, south], [east, north], [west, south]]] } });
    const buildings = [...Array.from({ length: 200 }, (_, index) => place(139.7 + index / 1000, 35.6 + index / 2000)), place(142.2, 27.1)];
    const home = homeOf({ buildings, areas: [area(139.6, 35.5, 142.3, 27)] });
    expect(home?.map((edge) => edge.toFixed(2))).toEqual(["139.70", "35.60", "139.90", "35.70"]);
    expect(homeOf({ buildings, areas: [area(139.69, 35.59, 139.92, 35.72)] })).toEqual([139.69, 35.59, 139.92, 35.72]);
    expect([homeOf({}), homeOf({ areas: [area(1, 2, 3, 4)] })]).toEqual([undefined, [1, 2, 3, 4]]);
  });

  it("asks for no more than can be drawn, around where one looks", () => {
    expect(shrunk([0, 0, 8, 4], 12_000, 3_000, [4, 2])).toEqual([2, 1, 6, 3]);
    expect(shrunk([0, 0, 8, 4], 12_000, 3_000, [2, 0])).toEqual([1, 0, 5, 2]);
    expect(shrunk([0, 0, 8, 4], 10, 3_000, [4, 2])).toEqual([0, 0, 8, 4]);
  });

  it("lists what is in view, and the ground only when it is sought", () => {
    const at = (id: string, lon: number): Entity => ({ id, type: "Building", location: { type: "Point", coordinates: [lon, 34.2] } });
    const layers = { gauges: [gauge], buildings: [at("urn:ngsi-ld:Building:1", 142.5), at("urn:ngsi-ld:Building:2", 150)] };
    const ids = (sought: string, hidden = new Set<never>()): string[] => listInView(layers, hidden, [142, 34, 143, 35], sought, "en").map(({ id }) => id);
    expect(ids("")).toEqual([gauge.id]);
    expect(ids("building")).toEqual(["urn:ngsi-ld:Building:1"]);
    expect(ids("nowhere")).toEqual([]);
  });
});

describe("a question", () => {
  it("quotes texts and leaves numbers, flags and times bare", () => {
    const term = (operator: "==" | ">", value: string): string => termOf({ attribute: "a", operator, value });
    expect([term(">", "30"), term("==", "true"), term("==", "on route"), term("==", 'a"b'), term(">", "2026-07-01T06:00:00Z")]).toEqual([
      "a>30", "a==true", 'a=="on route"', 'a=="a\\"b"', "a>2026-07-01T06:00:00Z",
    ]);
    expect(termOf({ attribute: "a", operator: "exists", value: "" })).toBe("a");
  });

  it("is asked as it was built", () => {
    const question = { ...emptyQuestion(), type: "Building", attrs: ["height"], conditions: [{ attribute: "height", operator: ">" as const, value: "30" }], lon: "142.5", lat: "34.2", metres: "800" };
    expect(queryOf(question)).toEqual({ simplified: true, type: "Building", attrs: "height", q: "height>30", near: { lon: 142.5, lat: 34.2, metres: 800 } });
  });

  it.each([
    ["a place without a distance", { lon: "1", lat: "2" }, "near"],
    ["a latitude beyond the pole", { lon: "1", lat: "91", metres: "5" }, "near"],
    ["a condition without a value", { conditions: [{ attribute: "height", operator: ">" as const, value: " " }] }, "condition"],
    ["a time without a zone", { at: "2026-07-01 08:00" }, "at"],
    ["nothing wrong", { at: "2026-07-01T08:00:00Z", lon: "1", lat: "2", metres: "5" }, undefined],
  ])("%s is told", (_, more, field) => {
    expect(wrongWith({ ...emptyQuestion(), ...more })?.field).toBe(field);
  });

  it("as a command never shows the token", () => {
    const curl = curlOf("http://x", "/e?q='1'", { token: "rk_secret", tenant: "koto", purpose: "", context: "" });
    expect(curl).not.toContain("rk_secret");
    expect(curl).toBe(`curl -s 'http://x/e?q='\\''1'\\''' \\\n  -H "Authorization: Bearer $RENKEI_TOKEN" \\\n  -H 'NGSILD-Tenant: koto'`);
  });

  it("leaves as CSV and GeoJSON", () => {
    const entities: Entity[] = [{ id: "urn:1", type: "A", note: 'say "hi", now', location: { type: "Point", coordinates: [1, 2] } }];
    expect(csvOf(entities)).toBe('id,type,longitude,latitude,note\r\nurn:1,A,1,2,"say ""hi"", now"\r\n');
    expect(JSON.parse(geojsonOf(entities))).toMatchObject({ features: [{ id: "urn:1", geometry: { type: "Point" }, properties: { type: "A" } }] });
    expect(csv(["a"], [{ a: null }, { a: { b: 1 } }])).toBe('a\r\n\r\n"{""b"":1}"\r\n');
  });
});

describe("operations", () => {
  const one = (id: string, more: Partial<Suggestion>): Suggestion => ({
    id, status: "open", what: "", why: "", rule: "", about: "", proposes: [], evidence: [], holds: true, raisedAt: "",
    deadline: "2026-07-01T07:00:00Z", approvalsNeeded: 1, approvals: 0, ...more,
  });

  it("ranks the nearest deadline first and what was decided behind it", () => {
    const all = [
      one("decided-early", { status: "approved", decidedAt: "2026-07-01T05:00:00Z" }),
      one("late", { deadline: "2026-07-01T09:00:00Z" }),
      one("decided-late", { status: "rejected", decidedAt: "2026-07-01T06:00:00Z" }),
      one("soon", {}),
    ];
    expect(ranked(all).map(({ id }) => id)).toEqual(["soon", "late", "decided-late", "decided-early"]);
  });

  it("counts down to the deadline", () => {
    const at = (now: string): unknown => urgencyOf("2026-07-01T07:00:00Z", now).urgency;
    expect([at("2026-07-01T06:00:00Z"), at("2026-07-01T06:55:00Z"), at("2026-07-01T07:00:00Z")]).toEqual(["calm", "soon", "over"]);
  });

  it("steps through the list and stops at its ends", () => {
    const ids = ["a", "b", "c"];
    expect([step(ids, "", 1), step(ids, "a", 1), step(ids, "c", 1), step(ids, "a", -1), step([], "", 1)]).toEqual(["a", "b", "c", "a", ""]);
  });

  it("alters values of the same kind, or fewer", () => {
    const edited = editable([{ entity: "e", attribute: "level", value: 3 }, { entity: "e", attribute: "position", value: "closed" }]);
    const [level, position] = edited;
    if (!level || !position) throw new Error("two were proposed");
    expect(altered(edited)).toEqual({ wrong: "same" });
    expect(altered([{ ...level, text: "4.5" }, position])).toEqual({ proposes: [{ entity: "e", attribute: "level", value: 4.5 }, position.original] });
    expect(altered([{ ...level, isKept: false }, position])).toEqual({ proposes: [position.original] });
    expect(altered([{ ...level, text: "much" }, position])).toEqual({ wrong: "number", attribute: "level" });
    expect(altered([{ ...level, isKept: false }, { ...position, isKept: false }])).toEqual({ wrong: "none" });
  });
});

describe("the shell", () => {
  it("finds pages by address and writes addresses that it finds again", () => {
    const address = path("now", "urn:ngsi-ld:A:1/2", { view: "x", empty: "" });
    expect(address).toBe("/console/now/urn%3Angsi-ld%3AA%3A1%2F2?view=x");
    expect(readPlace("/console/now/urn%3Angsi-ld%3AA%3A1%2F2", "?view=x")).toMatchObject({ page: "now", rest: "urn:ngsi-ld:A:1/2" });
    expect([readPlace("/", "").page, readPlace("/console", "").page, readPlace("/console/nowhere", "").page, readPlace("/other", "").page]).toEqual(["now", "now", undefined, undefined]);
    expect(readPlace("/console/now/%E0%A4%A", "").page).toBe("now");
  });

  it("tells a token from other text, and a bad one from one that may not read", () => {
    expect(["rk_0123456789abcdef_Zz-", "rk_", "Bearer rk_0123456789abcdef", ""].map(isTokenShape)).toEqual([true, false, false, false]);
    expect([wrongToken(401, "TRU-003"), wrongToken(403, "TRU-004"), wrongToken(403, "TRU-001"), wrongToken(0, "")]).toEqual(["unknown", "other-tenant", "none", "other"]);
  });

  it("keeps the pace of the city's clock", () => {
    expect(paceOf([{ here: 0, there: 0 }, { here: 2000, there: 120_000 }])).toBe(60);
    expect([paceOf([]), paceOf([{ here: 0, there: 0 }, { here: 10, there: 99 }])]).toEqual([1, 1]);
  });

  it("writes lengths of time and values as people do", () => {
    // Spelling is the platform's; number and unit are ours.
    expect([duration(59, "en"), duration(3_700, "en"), duration(90_000, "ja")]).toEqual([expect.stringMatching(/^59 sec/), expect.stringMatching(/^1 hr/), expect.stringMatching(/^1 ?日$/)]);
    expect([plain(1234.5, "en"), plain(null, "en"), plain(["a", "b"], "ja"), plain({ a: 1 }, "en")]).toEqual(["1,234.5", "–", "a, b", '{"a":1}']);
  });
});
