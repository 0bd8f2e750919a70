import { expect, open, test } from "./console";

const TOKEN = "rk_0123456789abcdef_notarealsecret";

test("a text that is no token is told before it is sent", async ({ page }) => {
  await open(page, "/console/sign-in");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByRole("alert").filter({ hasText: "Enter the token." })).toBeVisible();
  await page.getByLabel("Token", { exact: true }).fill("hello");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByRole("alert").filter({ hasText: "This is not a token" })).toBeVisible();
});

test("a token that the server does not know is not kept", async ({ page }) => {
  await page.route("**/ngsi-ld/v1/types", (route) => route.fulfill({ status: 401, json: { title: "Unknown.", detail: "The token is none of this server.", code: "TRU-003" } }));
  await open(page, "/console/sign-in");
  await page.getByLabel("Token", { exact: true }).fill(TOKEN);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByRole("alert").filter({ hasText: "does not know this token" })).toBeVisible();
  expect(await page.evaluate(() => sessionStorage.getItem("renkei.token"))).toBeNull();
});

test("a token is sent with every request until one signs out", async ({ page }) => {
  // The demo knows everybody already: only that the token travels is looked at here.
  const sent = new Set<string>();
  await page.route("**/ngsi-ld/**", async (route) => {
    const { authorization = "none", ...headers } = route.request().headers();
    sent.add(authorization);
    await route.fulfill({ response: await route.fetch({ headers }) });
  });
  await open(page, "/console/sign-in");
  await page.getByLabel("Token", { exact: true }).fill(TOKEN);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page).toHaveURL(/\/console\/start$/);
  expect(sent.has(`Bearer ${TOKEN}`)).toBe(true);
  expect(await page.evaluate(() => sessionStorage.getItem("renkei.token"))).toBe(TOKEN);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByText("Signed out.", { exact: false })).toBeVisible();
  expect(await page.evaluate(() => sessionStorage.getItem("renkei.token"))).toBeNull();
});
