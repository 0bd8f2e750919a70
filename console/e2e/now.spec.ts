import { expect, open, test } from "./console";
import type { Page } from "@playwright/test";

const drawn = async (page: Page): Promise<number> => Number(await page.locator("[data-drawn]").getAttribute("data-drawn"));

/** How many clearly different colours the canvas shows, from its picture. */
async function colours(page: Page): Promise<number> {
  const picture = (await page.locator("canvas.maplibregl-canvas").screenshot()).toString("base64");
  return page.evaluate(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    const draw = canvas.getContext("2d");
    draw?.drawImage(image, 0, 0);
    const { data: pixels } = draw?.getImageData(0, 0, image.width, image.height) ?? { data: [] };
    const found = new Map<number, number>();
    for (let at = 0; at < pixels.length; at += 4) {
      const colour = (((pixels[at] ?? 0) >> 4) << 8) | (((pixels[at + 1] ?? 0) >> 4) << 4) | ((pixels[at + 2] ?? 0) >> 4);
      found.set(colour, (found.get(colour) ?? 0) + 1);
    }
    return [...found.values()].filter((count) => count > 50).length;
  }, picture);
}

test("the map draws the town's own ground", async ({ page }) => {
  await open(page, "/");
  await expect.poll(() => drawn(page)).toBeGreaterThan(500);
  expect(await colours(page)).toBeGreaterThan(8);
});

test("a layer that is switched off is not drawn", async ({ page }) => {
  await open(page, "/");
  await expect.poll(() => drawn(page)).toBeGreaterThan(500);
  await page.getByLabel("Buildings").uncheck();
  await expect.poll(() => drawn(page)).toBeLessThan(500);
});

test("the list holds what the map shows, and finds a building", async ({ page }) => {
  await open(page, "/");
  const side = page.getByRole("region", { name: /things in view/ });
  await expect(side.getByRole("link", { name: /upper gauge.*River gauge/ })).toContainText(/\d m/);
  await side.getByRole("searchbox").fill("building");
  await expect(side.getByRole("heading")).toHaveText(/[\d,]+ things in view/);
  await expect(side.getByRole("link").first()).toContainText("Building");
});

test("a thing shows values with unit and age, its last day, and what it is linked to", async ({ page }) => {
  await open(page, "/");
  await page.getByRole("link", { name: /upper gauge/ }).click();
  const panel = page.getByRole("region", { name: /upper gauge/ });
  await expect(panel.getByText("Water level", { exact: true }).first()).toBeVisible();
  await expect(panel.locator("dd").first()).toContainText(/[\d.]+ m.*(just now|ago)/);
  await expect(panel.getByRole("img", { name: /Water level: lowest/ }).locator("canvas")).toBeVisible();
  await expect(panel.getByText(/^curl -s/)).toBeVisible();
  await panel.getByRole("link", { name: "Minato River" }).click();
  await expect(page.getByRole("heading", { name: "Minato River" })).toBeVisible();
});

test("the city is shown as it was, and again as it is", async ({ page }) => {
  await open(page, "/");
  const slider = page.getByRole("slider");
  await expect(slider).toBeEnabled();
  const asked = page.waitForRequest((request) => /\/entities\?.*[?&]at=/.test(request.url()));
  await slider.focus();
  await page.keyboard.press("ArrowLeft");
  expect((await asked).url()).toMatch(/at=\d{4}-\d{2}-\d{2}T/);
  await expect(page.getByText("As it was", { exact: true })).toBeVisible();
  await page.getByRole("button", { name: "Back to now" }).click();
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
});

test("a hidden tab asks nothing, a visible one asks again", async ({ page }) => {
  await page.clock.install();
  const isLive = (url: string): boolean => url.includes("WaterObserved") && !url.includes("temporal");
  const opened = page.waitForResponse((response) => new URL(response.url()).pathname === "/stream");
  await open(page, "/");
  await expect(page.getByText("Live", { exact: true })).toBeVisible();
  await opened;
  const hide = (hidden: boolean): Promise<void> =>
    page.evaluate((to) => {
      Object.defineProperty(document, "hidden", { value: to, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await hide(true);
  // What was on its way may still come; after that an hour of the page's own clock brings no further question.
  await page.waitForLoadState("networkidle");
  let asked = 0;
  page.on("request", (request) => (asked += isLive(request.url()) ? 1 : 0));
  await page.clock.fastForward("01:00:00");
  await page.evaluate(() => fetch("/health/live"));
  expect(asked).toBe(0);
  const again = page.waitForRequest((request) => isLive(request.url()));
  await hide(false);
  await again;
});

