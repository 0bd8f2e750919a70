/** Suggestions of our own: those of the demo wait only some minutes of ours. */
import { address, expect } from "./console";
import type { APIRequestContext } from "@playwright/test";

const RULE = "console-test";
const TYPE = "ConsoleTestGauge";
const idOf = (number: number): string => `urn:ngsi-ld:${TYPE}:${number}`;

/** So many gauges rise, and of each there is a suggestion. */
export async function raise(request: APIRequestContext, count: number): Promise<void> {
  const rule = {
    name: RULE,
    watch: TYPE,
    when: "level > 1",
    until: "level < 0.5",
    suggest: {
      what: "Close the quay for the console's test",
      why: "The gauge stands at {level} m.",
      do: [{ set: "setPosition", of: "urn:ngsi-ld:FloodBarrier:Minatomachi:Quay", to: "closed" }],
      within: "P2D",
    },
  };
  expect((await request.post(address("/ops/v1/rules"), { data: rule })).ok()).toBe(true);
  for (const level of [0, 2]) {
    const gauges = Array.from({ length: count }, (_, number) => ({ id: idOf(number), type: TYPE, level: { type: "Property", value: level } }));
    expect((await request.post(address("/ngsi-ld/v1/entityOperations/upsert?options=update"), { data: gauges })).ok()).toBe(true);
  }
}

/** The gauges fall, and are gone with their rule. */
export async function settle(request: APIRequestContext, count: number): Promise<void> {
  await request.delete(address(`/ops/v1/rules/${RULE}`));
  for (let number = 0; number < count; number += 1) await request.delete(address(`/ngsi-ld/v1/entities/${idOf(number)}`));
}
