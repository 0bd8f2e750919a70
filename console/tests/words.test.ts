import { describe, expect, it } from "vitest";
import { admin, noRight } from "../src/words/admin";
import { advice } from "../src/words/advice";
import { audit } from "../src/words/audit";
import { developers } from "../src/words/developers";
import { explore } from "../src/words/explore";
import { health } from "../src/words/health";
import { now, panel } from "../src/words/now";
import { keys, operations } from "../src/words/operations";
import { problems, shell, signIn } from "../src/words/shell";
import { lineage, sources } from "../src/words/sources";
import { start } from "../src/words/start";
import { LANGUAGES, say, type Messages } from "../src/words/words";

const CATALOGUE: Record<string, Messages> = {
  admin, advice, audit, developers, explore, health, keys, lineage, noRight, now, operations, panel, problems, shell, signIn, sources, start,
};
const JAPANESE = /[\u3040-\u30ff\u4e00-\u9fff]/;
/** Words that Japanese writes as English does. */
const SAME_IN_BOTH = new Set(["explore.sql", "explore.csv", "explore.geojson"]);

describe("the words", () => {
  const all = Object.entries(CATALOGUE).flatMap(([page, messages]) =>
    Object.entries(messages).map(([name, message]) => ({ name: `${page}.${name}`, message })),
  );

  it.each(all)("$name is said in both languages", ({ name, message }) => {
    for (const language of LANGUAGES) {
      const said = message[language];
      const values = typeof said === "function" ? Array.from({ length: said.length }, (_, index) => `#${index}#`) : [];
      const text = typeof said === "function" ? (said as (...values: string[]) => string)(...values) : said;
      expect(text.trim()).not.toBe("");
      for (const value of values) expect(text).toContain(value);
      const isPlain = values.length === 0 && !SAME_IN_BOTH.has(name);
      if (isPlain) expect(JAPANESE.test(text)).toBe(language === "ja");
    }
  });

  it("a message takes its values in the order it names them", () => {
    const message = { en: (a: string, b: string) => `${a} of ${b}`, ja: (a: string, b: string) => `${b}のうち${a}` };
    expect([say("en", message, "2", "3"), say("ja", message, "2", "3")]).toEqual(["2 of 3", "3のうち2"]);
  });
});
