import { address, barriers, expect, open, test } from "./console";

test.describe.configure({ mode: "serial" });

const NAME = "console-gauges";
const TEXT = `name: ${NAME}
title: Gauges of the console's test
from: {push: {}}
expect: PT30M
map:
  format: json
  id: '"urn:ngsi-ld:ConsoleGauge:" + row.id'
  type: ConsoleGauge
  attributes:
    waterLevel: {value: number(row.level_cm) / 100.0, unitCode: MTR}
`;

test.afterAll(async ({ request }) => {
  await request.delete(address(`/ops/v1/sources/${NAME}`));
  for (const id of ["1", "2", "3"]) await request.delete(address(`/ngsi-ld/v1/entities/urn:ngsi-ld:ConsoleGauge:${id}`));
});

test("a source is begun from an example of each kind", async ({ page }) => {
  await open(page, "/console/sources");
  await page.getByRole("link", { name: "Add a source" }).click();
  const text = page.getByLabel("Text (YAML)");
  await expect(text).toHaveValue(/from: \{push:/);
  await page.getByRole("link", { name: /Fetched by us/ }).click();
  await expect(text).toHaveValue(/from: \{poll:/);
  await page.getByRole("link", { name: /Over MQTT/ }).click();
  await expect(text).toHaveValue(/from: \{mqtt:/);
  await text.fill("map:");
  await text.press("End");
  await text.press("Enter");
  await expect(text).toHaveValue("map:\n  ");
  // What one wrote is kept where another kind is looked at.
  await page.getByRole("link", { name: /Sent to us/ }).click();
  await expect(text).toHaveValue("map:\n  ");
});

test("what is wrong with a text is told in a sentence, with the place and what to do", async ({ page }) => {
  await open(page, "/console/sources?add=push");
  const alert = page.getByRole("main").getByRole("alert");
  await page.getByLabel("Text (YAML)").fill("title: nameless");
  await page.getByRole("button", { name: "Add and try" }).click();
  await expect(alert).toContainText("no line “name: …”");
  await page.getByLabel("Text (YAML)").fill(TEXT.replace("number(", "nummer("));
  await page.getByRole("button", { name: "Add and try" }).click();
  await expect(alert).toContainText("nummer");
  await expect(alert).toContainText("Correct the place that the message names");
  await page.getByLabel("Text (YAML)").fill(TEXT.replace("push: {}", "poll: {url: 'https://data.example.jp/x.csv', every: sometimes}"));
  await page.getByRole("button", { name: "Add and try" }).click();
  await expect(alert).toContainText("sometimes");
});

test("a source is added, tried as one writes, and sent to for good", async ({ page }) => {
  await open(page, "/console/sources?add=push");
  await page.getByLabel("Text (YAML)").fill(TEXT);
  await page.getByLabel("A message to try").fill('{"id": "1", "level_cm": 231}');
  await page.getByRole("button", { name: "Add and try" }).click();
  await expect(page.getByRole("heading", { name: "Gauges of the console's test" })).toBeVisible();
  const trial = page.getByRole("region", { name: "What would become of it" });
  await expect(trial).toContainText("1 read, 1 would be applied, 0 rejected");
  await expect(trial).toContainText("2.31 m");
  await page.getByLabel("A message to try").fill('{"id": "1", "level_cm": "high"}');
  await expect(trial).toContainText("0 would be applied, 1 rejected");
  await expect(trial).toContainText("line 1");
  expect(await barriers(page)).toEqual([]);
  // It was added paused, to be tried first.
  await expect(page.getByRole("button", { name: "Send it for good" })).toBeDisabled();
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByText("Waits for its first message")).toBeVisible();
  await page.reload();
  await page.getByLabel("A message to try").fill('{"id": "1", "level_cm": 231}');
  await page.getByRole("button", { name: "Send it for good" }).click();
  await expect(page.getByText("Taken: 1 applied, 0 rejected.")).toBeVisible();
  await expect(page.getByText("Taking messages")).toBeVisible();
});

test("a text is saved as the next version, by which the trial goes on", async ({ page }) => {
  await open(page, `/console/sources/${NAME}?view=text`);
  await page.getByLabel("A message to try").fill('{"id": "1", "level_cm": 100}');
  await expect(page.getByRole("region", { name: "What would become of it" })).toContainText("1 m");
  await page.getByLabel("Text (YAML)").fill(TEXT.replace("/ 100.0", "/ 50.0"));
  await expect(page.getByText("Not saved yet", { exact: false })).toBeVisible();
  await page.getByRole("button", { name: "Save as the next version" }).click();
  await expect(page.getByText("Saved as version 2.")).toBeVisible();
  await expect(page.getByRole("region", { name: "What would become of it" })).toContainText("2 m");
});

test("a reject is seen with its reason, mended and taken; others are replayed and dropped", async ({ page, request }) => {
  const push = async (body: string): Promise<void> => {
    const answer = await request.post(address(`/ops/v1/sources/${NAME}/messages`), { data: body, headers: { "Content-Type": "application/json" } });
    expect(answer.status()).toBe(422);
  };
  await push('{"id": "2", "level_cm": "broken"}');
  await push('{"id": "3", "level_cm": "also broken"}');
  await open(page, "/console/sources");
  await expect(page.getByRole("row", { name: /Gauges of the console/ })).toContainText("2 to mend");
  await page.getByRole("link", { name: "Gauges of the console's test" }).click();
  await page.getByRole("button", { name: /view and mend/ }).first().click();
  const text = page.getByLabel("The message, to be mended");
  await expect(text).toHaveValue(/broken/);
  expect(await barriers(page)).toEqual([]);
  await page.setViewportSize({ width: 390, height: 844 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0);
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByRole("button", { name: "Replay as it came" }).click();
  await expect(page.getByText(/Message \d+ is still rejected:/)).toBeVisible();
  await text.fill('{"id": "2", "level_cm": 150}');
  await page.getByRole("button", { name: "Send as mended" }).click();
  await expect(page.getByText(/Message \d+ was taken whole\./)).toBeVisible();
  await page.getByRole("button", { name: /view and mend/ }).first().click();
  await page.getByRole("button", { name: "Drop", exact: true }).click();
  await page.getByRole("button", { name: "Drop it: it cannot be had back" }).click();
  await expect(page.getByText("Nothing waits to be mended.")).toBeVisible();
});

test("a value says where it came from, and leads to its source", async ({ page }) => {
  await open(page, `/console/now/${encodeURIComponent("urn:ngsi-ld:ConsoleGauge:2")}`);
  await page.getByRole("button", { name: "Where does Water level come from?" }).click();
  await expect(page.getByText(`From the source ${NAME}`, { exact: false })).toBeVisible();
  await expect(page.getByText("SHA-256", { exact: false })).toBeVisible();
  expect(await barriers(page)).toEqual([]);
  await page.getByRole("link", { name: `From the source ${NAME}`, exact: false }).click();
  await expect(page).toHaveURL(new RegExp(`/console/sources/${NAME}$`));
});

test("a source is paused, resumed and removed, by keyboard too", async ({ page }) => {
  await open(page, `/console/sources/${NAME}`);
  await page.getByRole("button", { name: "Pause" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByText("It takes no messages and fetches nothing until it is resumed.")).toBeVisible();
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(page.getByRole("button", { name: "Pause" })).toBeVisible();
  await page.getByRole("button", { name: "Remove" }).click();
  const dialog = page.getByRole("dialog", { name: `Remove ${NAME}?` });
  // The way out has the focus.
  await expect(dialog.getByRole("button", { name: "Cancel" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await page.getByRole("button", { name: "Remove" }).click();
  await dialog.getByRole("button", { name: "Remove" }).click();
  await expect(page).toHaveURL(/\/console\/sources$/);
  await expect(page.getByText(`${NAME} is removed.`)).toBeVisible();
});
