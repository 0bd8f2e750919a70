import { address, expect, open, test } from "./console";
import { raise, settle } from "./suggest";
import type { APIRequestContext, Page } from "@playwright/test";

const stream = (url: string): boolean => new URL(url).pathname === "/stream";

/** A change of what somebody may ends every stream: each reader has to come back. */
async function cutStreams(request: APIRequestContext): Promise<void> {
  const made = await request.post(address("/trust/v1/policies"), { data: { words: "role device may read Nothing" } });
  expect(made.status()).toBe(201);
  const { id } = (await made.json()) as { id: string };
  expect((await request.delete(address(`/trust/v1/policies/${id}`))).status()).toBe(204);
}

const look = (page: Page, isAway: boolean): Promise<void> =>
  page.evaluate((to) => {
    Object.defineProperty(document, "hidden", { value: to, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isAway);

const lost = (page: Page) => page.getByText("The connection is lost.", { exact: false });

test("the map follows the stream and asks no more every two seconds", async ({ page }) => {
  const opened = page.waitForResponse((response) => stream(response.url()));
  await open(page, "/");
  expect((await opened).headers()["content-type"]).toContain("text/event-stream");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await expect(page.getByRole("link", { name: /upper gauge.*River gauge/ })).toContainText(/\d m/);
  let asked = 0;
  page.on("request", (request) => (asked += /\/entities\?.*WaterObserved/.test(request.url()) ? 1 : 0));
  // The clock of the town moves on with what is heard, not with what is asked for.
  const told = async (): Promise<number> => Number(await page.locator("[data-clock]").getAttribute("data-clock"));
  const before = await told();
  await expect.poll(told).toBeGreaterThan(before);
  expect(asked).toBe(0);
});

test("a thing that is written is on the map's list at once, and its panel follows", async ({ page, request }) => {
  const id = "urn:ngsi-ld:WaterObserved:Console:Live";
  const entity = (level: number): object => ({
    id, type: "WaterObserved", name: { type: "Property", value: "Bridge of the test" },
    location: { type: "GeoProperty", value: { type: "Point", coordinates: [142.5, 34.21] } },
    waterLevel: { type: "Property", value: level, unitCode: "MTR" },
  });
  const opened = page.waitForResponse((response) => stream(response.url()));
  await open(page, "/");
  await opened;
  expect((await request.post(address("/ngsi-ld/v1/entities"), { data: entity(1.25) })).status()).toBe(201);
  try {
    await page.getByRole("searchbox").fill("Bridge of the test");
    await page.getByRole("link", { name: /Bridge of the test/ }).click();
    await expect(page.getByRole("heading", { name: "Bridge of the test" })).toBeVisible();
    await expect(page.locator("dd").filter({ hasText: "1.25 m" })).toBeVisible();
    expect((await request.post(address("/ngsi-ld/v1/entityOperations/upsert?options=update"), { data: [entity(2.75)] })).ok()).toBe(true);
    await expect(page.locator("dd").filter({ hasText: "2.75 m" })).toBeVisible();
  } finally {
    await request.delete(address(`/ngsi-ld/v1/entities/${id}`));
  }
});

test("a stream that ends is taken up behind the last event", async ({ page, request }) => {
  const heard = page.waitForResponse((response) => stream(response.url()));
  await open(page, "/");
  await heard;
  await expect.poll(async () => Number(await page.locator("[data-clock]").getAttribute("data-clock"))).toBeGreaterThan(0);
  // Something was heard before it is cut.
  await page.waitForFunction((was) => Number(document.querySelector("[data-clock]")?.getAttribute("data-clock")) > was, Number(await page.locator("[data-clock]").getAttribute("data-clock")));
  const again = page.waitForRequest((one) => stream(one.url()));
  await cutStreams(request);
  expect(new URL((await again).url()).searchParams.get("from")).toMatch(/^\d+$/);
  await expect(lost(page)).toBeHidden();
});

test("a lost connection is told, on the map and in Operations, and its return is noticed", async ({ page, request }) => {
  for (const path of ["/", "/console/operations"]) {
    const first = page.waitForResponse((response) => stream(response.url()));
    await open(page, path);
    await first;
    await page.route(/\/stream(\?|$)/, (route) => route.abort());
    await cutStreams(request);
    await expect(lost(page)).toBeVisible();
    await page.unroute(/\/stream(\?|$)/);
    await expect(lost(page)).toBeHidden();
  }
});

test("where the server refuses the stream, the map asks again and again, and says so", async ({ page }) => {
  await page.route(/\/stream(\?|$)/, (route) => route.fulfill({ status: 403, json: { title: "No stream.", detail: "For no purpose.", code: "SRV-022" } }));
  await open(page, "/");
  await expect(page.getByText("No live stream for you here", { exact: false })).toBeVisible();
  const asks = (): Promise<unknown> => page.waitForRequest((request) => /\/entities\?.*WaterObserved/.test(request.url()));
  await asks();
  await asks();
});

test("whoever is signed out meanwhile is asked to sign in, not told of a lost connection", async ({ page }) => {
  await page.route(/\/stream(\?|$)/, (route) => route.fulfill({ status: 401, json: { title: "Signed out.", detail: "The session is none of this server's.", code: "TRU-017" } }));
  await open(page, "/");
  await expect(page.getByRole("alert")).toContainText("Sign in to see this.");
  await expect(page.getByRole("alert").getByRole("link", { name: "Sign in" })).toBeVisible();
  await expect(lost(page)).toBeHidden();
});

test("a hidden tab holds no stream, a visible one opens it again", async ({ page }) => {
  const opened = page.waitForRequest((request) => stream(request.url()));
  await open(page, "/");
  const ended = page.waitForEvent("requestfailed", (request) => stream(request.url()));
  await opened;
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await look(page, true);
  await ended;
  const again = page.waitForRequest((request) => stream(request.url()));
  await look(page, false);
  await again;
});

test("a suggestion is seen when it is raised, without a question every three seconds", async ({ page, request }) => {
  const opened = page.waitForResponse((response) => stream(response.url()));
  await open(page, "/console/operations");
  await opened;
  const own = page.getByRole("button", { name: /for the console's test/ });
  await expect(page.getByRole("region", { name: "Suggestions" })).toBeVisible();
  await expect(own).toHaveCount(0);
  try {
    await raise(request, 1);
    // Sooner than the next seldom look, which is half a minute away.
    await expect(own).toHaveCount(1, { timeout: 10_000 });
  } finally {
    await settle(request, 1);
  }
});
