import { expect, open, test } from "./console";

test("types are found by an attribute, and examples have the reader's own address", async ({ page }) => {
  await open(page, "/console/developers");
  await page.getByRole("searchbox").fill("waterLevel");
  await page.getByRole("region", { name: "Types and attributes" }).getByRole("link", { name: /WaterObserved/ }).click();
  const examples = page.getByRole("region", { name: "How to ask" });
  const own = new URL(page.url()).origin;
  await expect(examples.getByRole("region", { name: "Entities of a type" })).toContainText(`curl -s '${own}/ngsi-ld/v1/entities?type=WaterObserved`);
  await examples.getByRole("button", { name: "Python" }).click();
  await expect(examples.getByRole("region", { name: "One entity" })).toContainText("urllib.request");
  await expect(examples.getByRole("region", { name: "One entity" })).toContainText("Minatomachi");
  await examples.getByRole("button", { name: "TypeScript" }).click();
  await expect(examples.getByRole("region", { name: "Changes as they happen" })).toContainText("await fetch(");
});

test("a request is tried as the reader, and only one of this city", async ({ page }) => {
  await open(page, "/console/developers?type=OffStreetParking");
  await page.getByRole("button", { name: "Try it: Entities of a type" }).click();
  const tried = page.getByRole("region", { name: "Try it", exact: true });
  const field = tried.getByLabel("Address to GET");
  await expect(field).toBeFocused();
  await field.press("Enter");
  await expect(tried.getByText(/^Status 200/)).toBeVisible();
  await expect(tried.getByRole("region", { name: "Answer" })).toContainText('"type": "OffStreetParking"');
  await field.fill("/ngsi-ld/v1/entities/urn:ngsi-ld:Nobody:1");
  await field.press("Enter");
  await expect(tried.getByText(/^Status 404/)).toBeVisible();
  for (const wrong of ["https://example.org/", "//example.org/x"]) {
    await field.fill(wrong);
    await field.press("Enter");
    await expect(tried.getByRole("alert")).toContainText("Only addresses of this city");
  }
  await field.fill("/stream?type=OffStreetParking");
  await field.press("Enter");
  await expect(tried.getByRole("alert")).toContainText("A stream has no end");
});
