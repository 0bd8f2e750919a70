import { expect, open, test } from "./console";
import { readFile } from "node:fs/promises";

test("a question is built, asked, and taken along as a command", async ({ page }) => {
  await open(page, "/console/explore?type=Building");
  await page.getByRole("button", { name: "Height" }).click();
  await page.getByRole("button", { name: "Add a condition" }).click();
  await page.getByRole("combobox", { name: "Attribute" }).selectOption("height");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await expect(page.getByText("The condition on Height has no value.")).toBeVisible();
  await page.getByRole("textbox", { name: "Value" }).fill("30");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  const results = page.getByRole("region", { name: "Answer" });
  await expect(results.getByRole("columnheader")).toHaveText(["Entity", "Height"]);
  const heights = await results.locator("td.number").allTextContents();
  expect(heights.length).toBeGreaterThan(0);
  for (const height of heights) expect(Number(height)).toBeGreaterThan(30);
  await expect(page.getByText(/curl -s .*q=height%3E30/)).toBeVisible();
});

test("an answer is shown on a map and saved as CSV and GeoJSON", async ({ page }) => {
  await open(page, "/console/explore?type=OffStreetParking");
  await expect(page.getByRole("table")).toBeVisible();
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "CSV" }).click();
  const csv = await readFile(await (await saved).path(), "utf8");
  expect(csv.split("\r\n")[0]).toMatch(/^id,type,longitude,latitude,/);
  expect(csv.trim().split("\r\n").length).toBe(9);
  const drawn = page.waitForEvent("download");
  await page.getByRole("button", { name: "GeoJSON" }).click();
  const geojson: unknown = JSON.parse(await readFile(await (await drawn).path(), "utf8"));
  expect(geojson).toMatchObject({ type: "FeatureCollection", features: [{ geometry: { type: "Point" } }, {}, {}, {}, {}, {}, {}, {}] });
  await page.getByRole("button", { name: "Map", exact: true }).click();
  await expect(page.locator("canvas.maplibregl-canvas")).toBeVisible();
});

test("a wrong place and a wrong time are told before the server is asked", async ({ page }) => {
  await open(page, "/console/explore?type=Building");
  await expect(page.getByRole("table")).toBeVisible();
  let asked = 0;
  page.on("request", (request) => (asked += request.url().includes("/entities?") && request.url().includes("type=Building&") ? 1 : 0));
  await page.getByLabel("Longitude").fill("142.5");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await expect(page.getByText("A place needs longitude", { exact: false })).toBeVisible();
  await page.getByLabel("Longitude").fill("");
  await page.getByLabel("As it was at").fill("yesterday");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await expect(page.getByText("This is not a time in UTC", { exact: false })).toBeVisible();
  expect(asked).toBe(0);
});

test("SQL answers in a table, and a slip in it is told by the server", async ({ page }) => {
  await open(page, "/console/explore?view=sql");
  await page.getByRole("button", { name: "Run" }).click();
  await expect(page.getByRole("row", { name: /Building/ })).toContainText("1,055");
  await page.getByRole("textbox").fill("SELECT nothing FROM nowhere");
  await page.getByRole("button", { name: "Run" }).click();
  await expect(page.getByRole("alert").filter({ hasText: "SQL-" })).toBeVisible();
});

test("the planner's chart draws an attribute over time", async ({ page }) => {
  await open(page, "/console/explore?view=chart&type=WaterObserved");
  await expect(page.getByRole("img", { name: /lowest .* highest/ }).locator("canvas")).toBeVisible();
  await page.getByLabel("Put together by").selectOption("PT1H");
  await expect(page.getByText(/aggrPeriodDuration=PT1H/)).toBeVisible();
});
