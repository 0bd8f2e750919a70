import { describe, expect, it } from "vitest";
import type { Source } from "../src/api/sources";
import { byNeed, kindOf, Rates, statesOf } from "../src/pages/sources/state";
import { EXAMPLES, lineWithTab, nameIn } from "../src/pages/sources/text";
import { newLine } from "../src/parts/editing";

const source = (more: Partial<Source> = {}): Source => ({ name: "gauges", messages: 9, applied: 9, rejected: 0, failing: null, silent: false, paused: false, rejectsKept: 0, ...more });

describe("a source", () => {
  it("is in as many states as need to be known, the worst first", () => {
    expect(statesOf(source())).toEqual(["healthy"]);
    expect(statesOf(source({ messages: 0 }))).toEqual(["waiting"]);
    expect(statesOf(source({ failing: "404", silent: true, rejectsKept: 2 }))).toEqual(["failing", "silent", "rejecting"]);
  });

  it("that is paused fails at nothing, but what waits to be mended waits", () => {
    expect(statesOf(source({ paused: true, failing: "404", silent: true, rejectsKept: 1 }))).toEqual(["rejecting", "paused"]);
  });

  it("whose text cannot be read is told as failing", () => {
    expect(statesOf({ name: "old", failing: "its stored text cannot be read", messages: 0, applied: 0, rejected: 0 })).toEqual(["failing"]);
  });

  it("that needs a person stands before one that does not", () => {
    const list = [source({ name: "b" }), source({ name: "a" }), source({ name: "z", failing: "404" }), source({ name: "y", paused: true })];
    expect(byNeed(list).map(({ name }) => name)).toEqual(["z", "y", "a", "b"]);
  });

  it("says by its first word how messages come in", () => {
    expect(["push by device", "poll https://x every 300 s", "mqtt a/+/b", undefined].map(kindOf)).toEqual(["push", "poll", "mqtt", undefined]);
  });
});

describe("a rate", () => {
  it("is counted over what was seen of the last minute", () => {
    const rates = new Rates();
    rates.note([source({ messages: 100 })], 0);
    expect(rates.perMinute("gauges")).toBeUndefined();
    rates.note([source({ messages: 110 })], 30_000);
    expect(rates.perMinute("gauges")).toBe(20);
    rates.note([source({ messages: 110 })], 90_000);
    expect(rates.perMinute("gauges")).toBe(0);
  });

  it("begins anew where a source was made anew", () => {
    const rates = new Rates();
    rates.note([source({ messages: 100 })], 0);
    rates.note([source({ messages: 3 })], 10_000);
    expect(rates.perMinute("gauges")).toBeUndefined();
    expect(rates.perMinute("nobody")).toBeUndefined();
  });
});

describe("the text of a source", () => {
  it("gives its name away, quoted or with a remark", () => {
    expect(['name: gauges\nfrom: x', "title: A\nname: 'a.b-1' # mine", "  name: inner", "name: Über"].map(nameIn)).toEqual(["gauges", "a.b-1", "", ""]);
    for (const [kind, { text }] of Object.entries(EXAMPLES)) expect([kind, nameIn(text) !== "" && lineWithTab(text) === undefined]).toEqual([kind, true]);
  });

  it("goes on where the line before began, and deeper behind a colon", () => {
    const typed = (text: string): string => newLine(text, text.length).text;
    expect([typed("name: a"), typed("  format: json"), typed("map:"), typed("  attributes:  "), typed("  - {a: 1}")]).toEqual([
      "name: a\n", "  format: json\n  ", "map:\n  ", "  attributes:  \n    ", "  - {a: 1}\n    ",
    ]);
    expect(newLine("map:\nx: 1", 4)).toEqual({ text: "map:\n  \nx: 1", caret: 7 });
  });

  it("says where a tab stands, which YAML does not know", () => {
    expect([lineWithTab("a: 1\n\tb: 2"), lineWithTab("a: 1\n  b:\t2")]).toEqual([2, undefined]);
  });
});
