import { describe, expect, it } from "vitest";
import ts from "typescript";
import type { Token } from "../src/api/trust";
import { attributesOf, inUse, partsOf, shortCondition } from "../src/pages/admin/lists";
import { addressFor, laidOut, sampleOf, TONGUES, TOPICS, wrongWith } from "../src/pages/developers/samples";

describe("the administration", () => {
  it("takes what stands between commas, also Japanese ones, once each", () => {
    expect(partsOf(" care, operation、care ,, ")).toEqual(["care", "operation"]);
    expect(partsOf("  ")).toEqual([]);
  });

  it("says a reach without full names", () => {
    const rule = { when: "true", lessExact: [] };
    expect(attributesOf({ ...rule, attributes: "all" })).toEqual({ kind: "all" });
    expect(attributesOf({ ...rule, attributes: ["https://example.org/v#name"] })).toEqual({ kind: "only", names: ["name"] });
    expect(attributesOf({ ...rule, attributes: { allBut: ["https://example.org/owner"] } })).toEqual({ kind: "allBut", names: ["owner"] });
    expect(shortCondition('type is "https://uri.etsi.org/ngsi-ld/default-context/BusStop"')).toBe('type is "BusStop"');
  });

  it("lists tokens that were used, the last first", () => {
    const token = (id: string, lastUsedAt: string | null): Token => ({ id, lastUsedAt }) as Token;
    expect(inUse([token("a", "2026-01-01"), token("b", null), token("c", "2026-02-01")]).map(({ id }) => id)).toEqual(["c", "a"]);
  });
});

describe("an example for developers", () => {
  const asked = { type: "River Gauge", attribute: "waterLevel", id: "urn:ngsi-ld:RiverGauge:7", since: "2026-07-01T00:00:00Z" };
  const who = { token: "rk_secret0000", tenant: "koto", purpose: "it's care", context: "" };
  const all = TONGUES.flatMap((tongue) => TOPICS.map((topic) => [tongue, topic] as const));

  it.each(all)("in %s of %s has the reader's own address and headers, and never the token", (tongue, topic) => {
    const text = sampleOf(tongue, topic, "https://city.example", asked, who);
    expect(text).toContain(`https://city.example${addressFor(topic, asked)}`);
    expect(text).toContain("RENKEI_TOKEN");
    expect(text).toContain("koto");
    expect(text).not.toContain("rk_secret");
  });

  it("in TypeScript is TypeScript, with headers and without", () => {
    for (const topic of TOPICS) {
      for (const identity of [who, { token: "", tenant: "", purpose: "", context: "" }]) {
        const { diagnostics } = ts.transpileModule(sampleOf("TypeScript", topic, "http://x", asked, identity), { reportDiagnostics: true, compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } });
        expect(diagnostics).toEqual([]);
      }
    }
  });

  it("in curl is quoted for a shell", () => {
    expect(sampleOf("curl", "one", "http://x", asked, who)).toContain(`-H 'Renkei-Purpose: it'\\''s care'`);
  });
});

describe("what is tried", () => {
  it("is an address of this city that has an end", () => {
    expect(["/ngsi-ld/v1/types", " /sql/v1/tables ", "//evil.example/x", "/\\evil.example", "https://evil.example", "types", "/stream?type=A", "/a b"].map(wrongWith)).toEqual([
      undefined, undefined, "path", "path", "path", "path", "stream", "path",
    ]);
  });

  it("is laid out where it is JSON", () => {
    expect([laidOut('{"a":1}'), laidOut("plain")]).toEqual(['{\n  "a": 1\n}', "plain"]);
  });
});
