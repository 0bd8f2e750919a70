import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { ask, askJson, headersOf, identifyBy, Problem, problemOf } from "../src/api/http";
import { aggregate, countEntities, entitiesAddress, queryAll, readings } from "../src/api/ngsi";
import { decide, listSuggestions } from "../src/api/ops";

const NOBODY = { token: "", tenant: "", purpose: "", context: "" };

interface Asked {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: string;
}

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server = undefined;
  identifyBy(() => NOBODY);
});

/** A server that answers so, and what it was asked. */
async function answering(answer: (asked: Asked) => { status?: number; headers?: Record<string, string>; body: string }): Promise<{ base: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      const one = { method: request.method ?? "", url: request.url ?? "", headers: request.headers, body };
      asked.push(one);
      const { status = 200, headers = {}, body: text } = answer(one);
      response.writeHead(status, headers).end(text);
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { fetch: real } = globalThis;
  globalThis.fetch = (input, init) => real(typeof input === "string" && input.startsWith("/") ? base + input : input, init);
  return { base, asked };
}

describe("a request", () => {
  it("says who asks, in which tenant, for what and in which words", () => {
    const who = { token: "rk_1", tenant: "koto", purpose: "care", context: "https://example.org/c.jsonld" };
    expect(headersOf(who, "application/json")).toEqual({
      Accept: "application/json",
      Authorization: "Bearer rk_1",
      "NGSILD-Tenant": "koto",
      "Renkei-Purpose": "care",
      Link: '<https://example.org/c.jsonld>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"',
    });
    expect(headersOf(NOBODY, "text/csv")).toEqual({ Accept: "text/csv" });
  });

  it("carries the token that is set when it is sent", async () => {
    const { asked } = await answering(() => ({ body: "{}" }));
    identifyBy(() => ({ ...NOBODY, token: "rk_kept" }));
    await askJson("/a");
    await ask("/b", { token: "rk_tried" });
    expect(asked.map(({ headers }) => headers.authorization)).toEqual(["Bearer rk_kept", "Bearer rk_tried"]);
  });

  it("that is refused tells the server's sentence and code", async () => {
    const body = JSON.stringify({ title: "Not allowed.", detail: "The token ended.", code: "TRU-003" });
    await answering(() => ({ status: 401, body }));
    const failure = await ask("/x").catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Problem);
    expect(failure).toMatchObject({ status: 401, title: "Not allowed.", detail: "The token ended.", code: "TRU-003" });
  });

  it("without an answer is a problem of status 0, a page of a proxy one without a code", async () => {
    await expect(ask("http://127.0.0.1:9/nobody")).rejects.toMatchObject({ name: "Problem", status: 0 });
    expect(problemOf(502, "<html>Bad gateway</html>")).toMatchObject({ status: 502, code: "", detail: "<html>Bad gateway</html>" });
    expect(problemOf(500, "7")).toMatchObject({ status: 500, code: "" });
  });
});

describe("questions to NGSI-LD", () => {
  it("are written as the standard's table has them", () => {
    const near = { lon: 142.5, lat: 34.2, metres: 800 };
    const address = entitiesAddress({ type: "Building", q: "height>30", attrs: "height", near, simplified: true, limit: 5, count: true });
    expect(Object.fromEntries(new URL(address, "http://x").searchParams)).toEqual({
      type: "Building", q: "height>30", attrs: "height", georel: "near;maxDistance==800", geometry: "Point",
      coordinates: "[142.5,34.2]", options: "keyValues", limit: "5", count: "true",
    });
    expect(entitiesAddress({ type: "A" })).toBe("/ngsi-ld/v1/entities?type=A");
    expect(entitiesAddress({ limit: 0 })).toBe("/ngsi-ld/v1/entities?local=true&limit=0");
    const within = new URL(entitiesAddress({ type: "A", within: [1, 2, 3, 4] }), "http://x").searchParams;
    expect(within.get("coordinates")).toBe("[[[1,2],[3,2],[3,4],[1,4],[1,2]]]");
  });

  it("go on page by page until all are there", async () => {
    const { asked } = await answering(({ url }) => {
      const query = new URL(url, "http://x").searchParams;
      const [limit, offset] = [Number(query.get("limit")), Number(query.get("offset") ?? 0)];
      const page = Array.from({ length: Math.max(0, Math.min(limit, 1623 - offset)) }, (_, index) => ({ id: `urn:x:${offset + index}`, type: "A" }));
      return { headers: { "NGSILD-Results-Count": "1623" }, body: JSON.stringify(page) };
    });
    const found = await queryAll({ type: "A" }, 5000);
    expect([found.entities.length, found.count, asked.length]).toEqual([1623, 1623, 2]);
    expect((await queryAll({ type: "A" }, 300)).entities.length).toBe(300);
    expect(await countEntities({ type: "A" })).toBe(1623);
  });

  it("about the past come sorted, with or without several data sets", async () => {
    const values = [["b", "2026-07-01T06:02:00Z"], ["a", "2026-07-01T06:01:00Z"]];
    await answering(() => ({ body: JSON.stringify([{ id: "urn:1", level: { values } }, { id: "urn:2", level: [{ values }, {}] }, { id: "urn:3" }]) }));
    const found = await readings({ type: "T", attribute: "level", from: "2026-07-01T06:00:00Z" });
    expect([...found].map(([id, all]) => [id, all.map(({ value }) => value).join("")])).toEqual([["urn:1", "ab"], ["urn:2", "ab"], ["urn:3", ""]]);
  });

  it("put together come by method, and none where nothing was", async () => {
    const level = { type: "Property", avg: [[1.5, "2026-07-01T06:00:00Z", "2026-07-01T06:15:00Z"]], max: [[2, "a", "b"]] };
    await answering(() => ({ body: JSON.stringify({ id: "urn:1", level }) }));
    const asked = { id: "urn:1", attribute: "level", methods: ["avg", "min"] as const, period: "PT15M", from: "a", to: "b" };
    const found = await aggregate(asked);
    expect(found.get("avg")).toEqual([{ value: 1.5, from: "2026-07-01T06:00:00Z", to: "2026-07-01T06:15:00Z" }]);
    expect(found.get("min")).toEqual([]);
  });
});

describe("the loop", () => {
  it("is asked for suggestions and told decisions", async () => {
    const { asked } = await answering(({ method }) => ({ body: method === "GET" ? '{"suggestions":[],"now":"2026-07-01T06:00:00Z"}' : "{}" }));
    expect((await listSuggestions()).now).toBe("2026-07-01T06:00:00Z");
    await decide("urn:ngsi-ld:Suggestion:1", { verdict: "reject", reason: "It rains elsewhere." });
    await decide("urn:ngsi-ld:Suggestion:1", { verdict: "approve", reason: "" });
    expect(asked.slice(1).map(({ method, url, body }) => [method, url, body])).toEqual([
      ["POST", "/ops/v1/suggestions/urn%3Angsi-ld%3ASuggestion%3A1/reject", '{"reason":"It rains elsewhere."}'],
      ["POST", "/ops/v1/suggestions/urn%3Angsi-ld%3ASuggestion%3A1/approve", "{}"],
    ]);
  });
});
