import { address, barriers, expect, open, test } from "./console";

test("somebody is invited by a link that is shown once, invited again, and removed", async ({ page }) => {
  await open(page, "/console/admin");
  await page.getByText("Invite somebody").click();
  await page.getByRole("textbox", { name: /^Name/ }).fill("console.test");
  await page.getByLabel("Shown to others as").fill("Console Test");
  await page.getByRole("button", { name: "Make the invitation" }).click();
  await expect(page.getByText("Choose at least one role.")).toBeVisible();
  await page.getByLabel(/^Developer/).check();
  await page.getByRole("button", { name: "Make the invitation" }).click();
  await expect(page.getByText("Hand this link to Console Test.")).toBeVisible();
  await expect(page.getByText(/\/welcome\?name=console\.test&code=/)).toBeVisible();
  await page.getByRole("button", { name: "I have it" }).click();
  await expect(page.getByText(/\/welcome\?/)).toBeHidden();
  const row = page.getByRole("row", { name: /console\.test/ });
  await expect(row).toContainText("Invited");
  await row.getByRole("button", { name: "New invitation" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "New invitation" }).click();
  await expect(page.getByText(/\/welcome\?name=console\.test&code=/)).toBeVisible();
  await row.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog", { name: "Remove the account console.test?" }).getByRole("button", { name: "Remove" }).click();
  await expect(row).toHaveCount(0);
});

test("a name that cannot be is refused in a sentence", async ({ page }) => {
  await open(page, "/console/admin");
  await page.getByText("Invite somebody").click();
  await page.getByRole("textbox", { name: /^Name/ }).fill("No Spaces");
  await page.getByLabel(/^Developer/).check();
  await page.getByRole("button", { name: "Make the invitation" }).click();
  await expect(page.getByRole("main").getByRole("alert")).toContainText("Correct what the message names.");
});

test("a token is shown once, and revoked", async ({ page }) => {
  await open(page, "/console/admin?view=tokens");
  await page.getByText("Make a token").click();
  await page.getByLabel("Shown to others as").fill("console gauge");
  await page.getByLabel(/^Device/).check();
  await page.getByLabel("Lasts").selectOption("P30D");
  await page.getByRole("button", { name: "Make it" }).click();
  await expect(page.getByRole("region", { name: "The token “console gauge”" })).toHaveText(/^rk_/);
  await page.reload();
  await expect(page.getByText(/^rk_/)).toHaveCount(0);
  const row = page.getByRole("row", { name: /console gauge/ });
  await row.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await expect(row).toHaveCount(0);
});

test("a policy is explained before it is added, asked about, and removed", async ({ page }) => {
  await open(page, "/console/admin?view=policies");
  const words = "anyone may read name of OffStreetParking";
  await page.getByRole("textbox", { name: /^Policy/ }).fill("somebody could look at things");
  await page.getByRole("button", { name: "Explain" }).click();
  await expect(page.getByRole("main").getByRole("alert").first()).not.toBeEmpty();
  await page.getByRole("textbox", { name: /^Policy/ }).fill(words);
  await page.getByRole("button", { name: "Explain" }).click();
  await expect(page.getByText(/permit ?\(/).first()).toBeVisible();
  expect(await barriers(page)).toEqual([]);
  await page.getByRole("button", { name: "Add it" }).click();
  await expect(page.getByText("The policy counts from now on.")).toBeVisible();
  const explain = page.getByRole("region", { name: "What may somebody do?" });
  await explain.getByRole("button", { name: "Show" }).click();
  await expect(explain.locator("dl")).toContainText("OffStreetParking");
  await page.getByRole("button", { name: `Remove: ${words}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await expect(page.getByText("There is no policy: only the roles' own count.")).toBeVisible();
});

test("an attribute is classed, and a person erased only by their id typed twice", async ({ page, request }) => {
  const id = "urn:ngsi-ld:Person:console-4711";
  await open(page, "/console/admin?view=classes");
  await page.getByRole("combobox", { name: "Attribute" }).fill("consoleBirthday");
  await page.getByRole("button", { name: "Set the class" }).click();
  await expect(page.getByRole("row", { name: /consoleBirthday/ })).toContainText("Personal");
  const made = await request.post(address("/ngsi-ld/v1/entities"), { data: { id, type: "Person", consoleBirthday: { type: "Property", value: "1990-01-01" } } });
  expect(made.status()).toBe(201);

  await page.getByRole("link", { name: "Erasure" }).click();
  await page.getByRole("button", { name: "Erase …" }).click();
  await expect(page.getByText("Enter the id", { exact: false })).toBeVisible();
  await page.getByLabel("Id of the person's entity").fill(id);
  await page.getByRole("button", { name: "Erase …" }).click();
  const dialog = page.getByRole("dialog", { name: "Erase for good?" });
  await expect(dialog).toContainText(id);
  await expect(dialog.getByRole("button", { name: "Erase it" })).toBeDisabled();
  expect(await barriers(page)).toEqual([]);
  await dialog.getByLabel("Type the id once more").fill(id);
  await dialog.getByRole("button", { name: "Erase it" }).click();
  await expect(page.getByText(`Of ${id} these are erased: consoleBirthday`, { exact: false })).toBeVisible();

  await page.getByRole("link", { name: "Classes of data" }).click();
  await page.getByRole("button", { name: "Remove: consoleBirthday" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await expect(page.getByRole("row", { name: /consoleBirthday/ })).toHaveCount(0);
  await request.delete(address(`/ngsi-ld/v1/entities/${id}`));
});
