import { barriers, expect, open, test, type Language } from "./console";

const PAGES: Record<string, { path: string; heading: Record<Language, RegExp> }> = {
  start: { path: "/console/start", heading: { en: /good to see you|a city, linked/i, ja: /ようこそ|まちをつなぐ/ } },
  now: { path: "/", heading: { en: /the city now/i, ja: /いまのまち/ } },
  operations: { path: "/console/operations", heading: { en: /operations/i, ja: /運用/ } },
  wall: { path: "/console/operations?view=wall", heading: { en: /open/i, ja: /未判断/ } },
  explore: { path: "/console/explore?type=OffStreetParking", heading: { en: /explore/i, ja: /調べる/ } },
  chart: { path: "/console/explore?view=chart", heading: { en: /explore/i, ja: /調べる/ } },
  sql: { path: "/console/explore?view=sql", heading: { en: /explore/i, ja: /調べる/ } },
  sources: { path: "/console/sources", heading: { en: /sources/i, ja: /取り込み/ } },
  "add-source": { path: "/console/sources?add=push", heading: { en: /add a source/i, ja: /取り込み元を追加/ } },
  accounts: { path: "/console/admin", heading: { en: /admin/i, ja: /管理/ } },
  tokens: { path: "/console/admin?view=tokens", heading: { en: /admin/i, ja: /管理/ } },
  connected: { path: "/console/admin?view=sessions", heading: { en: /admin/i, ja: /管理/ } },
  policies: { path: "/console/admin?view=policies", heading: { en: /admin/i, ja: /管理/ } },
  classes: { path: "/console/admin?view=classes", heading: { en: /admin/i, ja: /管理/ } },
  erasure: { path: "/console/admin?view=erasure", heading: { en: /admin/i, ja: /管理/ } },
  developers: { path: "/console/developers?type=WaterObserved", heading: { en: /developers/i, ja: /開発者/ } },
  audit: { path: "/console/audit", heading: { en: /audit/i, ja: /監査/ } },
  health: { path: "/console/health", heading: { en: /health/i, ja: /稼働状況/ } },
  "sign-in": { path: "/console/sign-in", heading: { en: /sign in/i, ja: /サインイン/ } },
};

for (const [name, { path, heading }] of Object.entries(PAGES)) {
  for (const language of ["en", "ja"] as const) {
    // One light and one dark look at each page.
    const scheme = language === "en" ? "light" : "dark";
    test(`${name} in ${language}, ${scheme}, has no barrier`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: scheme });
      await open(page, path, language);
      await expect(page.locator("html")).toHaveAttribute("lang", language);
      await expect(page.locator("h1").first()).toHaveText(heading[language]);
      await expect(page).toHaveTitle(/ · /);
      await expect(page.getByText(language === "en" ? "Loading …" : "読み込み中…")).toHaveCount(0);
      expect(await barriers(page)).toEqual([]);
    });
  }
}

test("on a phone no page is wider than the screen", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const { path } of Object.values(PAGES)) {
    await open(page, path, "ja");
    await expect(page.getByText("読み込み中…")).toHaveCount(0);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(beyond, path).toBe(0);
  }
});

test("the root leads to the city now, an unknown address says so", async ({ page }) => {
  await open(page, "/");
  await expect(page).toHaveURL(/\/console\/now$/);
  await open(page, "/console/nowhere");
  await expect(page.locator("h1")).toHaveText("There is no such page");
});

test("every door of the start page leads to its answer", async ({ page }) => {
  for (const [door, target] of [["Resident", "now"], ["Operator", "operations"], ["Engineer", "health"], ["Developer", "developers"], ["Auditor", "audit"], ["Planner", "explore"]] as const) {
    await open(page, "/console/start");
    await page.getByRole("main").getByRole("link", { name: door }).click();
    await expect(page.locator(`main[data-page="${target}"]`)).toBeVisible();
  }
});

test("language and look are set once and kept", async ({ page }) => {
  await open(page, "/console/start");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "日本語" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "暗い" }).click();
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("lang", "ja");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await expect(page.locator("h1")).toHaveText(/ようこそ|まちをつなぐ/);
});

test("the town is named and marked as simulated, with the server's health", async ({ page }) => {
  await open(page, "/console/start");
  await expect(page.getByRole("banner")).toContainText("Minatomachi");
  await expect(page.getByRole("banner")).toContainText("Simulated");
  await expect(page.getByRole("banner")).toContainText("Server ready");
});

test("on a phone the further pages stand behind one button, which Escape closes", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/console/start");
  const nav = page.getByRole("navigation", { name: "Pages" });
  await expect(nav.getByRole("link", { name: "Audit" })).toBeHidden();
  await nav.getByRole("button", { name: "More" }).click();
  await expect(nav.getByRole("link", { name: "Sources" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(nav.getByRole("link", { name: "Sources" })).toBeHidden();
  await nav.getByRole("button", { name: "More" }).click();
  await nav.getByRole("link", { name: "Developers" }).click();
  await expect(page.locator('main[data-page="developers"]')).toBeVisible();
  await expect(nav.getByRole("link", { name: "Audit" })).toBeHidden();
});
