import { address, expect, open, test } from "./console";

test.beforeAll(async ({ request }) => {
  // Something to stand in the trail: a token, made and taken back.
  const made = await request.post(address("/trust/v1/tokens"), { data: { roles: ["developer"], label: "console test" } });
  expect(made.status()).toBe(201);
  const { id } = (await made.json()) as { id: string };
  expect((await request.delete(address(`/trust/v1/tokens/${id}`))).status()).toBe(204);
});

test("the trail is listed, and verified by the browser itself", async ({ page }) => {
  await open(page, "/console/audit");
  await expect(page.getByRole("row", { name: /token\./ }).first()).toBeVisible();
  await page.getByRole("button", { name: "Verify the trail" }).click();
  await expect(page.locator('[data-verdict="good"]')).toContainText(/Verified: \d+ entries/);
  // A second look is held against the first.
  await page.getByRole("button", { name: "Verify the trail" }).click();
  await expect(page.locator('[data-verdict="good"]')).toContainText("that this browser saw on");
});

test("an entry is proven to stand in the signed trail", async ({ page }) => {
  await open(page, "/console/audit");
  await page.getByRole("button", { name: /^Prove/ }).first().click();
  await expect(page.locator('[data-verdict="good"]')).toContainText("the entry stands in the signed trail");
});

test("an entry that was changed on the way is noticed", async ({ page }) => {
  await page.route("**/audit/v1/entries?*", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: (await answer.text()).replaceAll('"local-operator"', '"somebody-else"') });
  });
  await open(page, "/console/audit");
  await page.getByRole("button", { name: "Verify the trail" }).click();
  await expect(page.locator('[data-verdict="broken"]')).toContainText("NOT VERIFIED");
  await page.getByRole("button", { name: /^Prove/ }).first().click();
  await expect(page.locator('[data-verdict="broken"]')).toHaveCount(2);
});
