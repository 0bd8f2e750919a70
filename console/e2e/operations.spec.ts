import { expect, open, test } from "./console";
import { raise, settle } from "./suggest";

test.describe.configure({ mode: "serial" });

test.beforeAll(({ request }) => raise(request, 3));
test.afterAll(({ request }) => settle(request, 3));

test("a suggestion is found, read and rejected by keyboard alone", async ({ page }) => {
  await open(page, "/console/operations");
  const list = page.getByRole("region", { name: "Suggestions" });
  await expect(list.getByRole("button").first()).toBeVisible();
  const before = await list.getByRole("button").count();
  await page.keyboard.press("j");
  const chosen = list.locator('[aria-current="true"]');
  await expect(chosen).toHaveCount(1);
  const what = (await chosen.locator("strong").textContent()) ?? "";
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: what, level: 2 })).toBeFocused();
  await expect(page.getByText("Evidence")).toBeVisible();

  await page.keyboard.press("r");
  const dialog = page.getByRole("dialog", { name: "Reject" });
  await expect(dialog.getByRole("textbox")).toBeFocused();
  await page.keyboard.press("Control+Enter");
  await expect(dialog.getByRole("alert")).toHaveText("Say why in a few words: it stands in the record.");
  await page.keyboard.type("The gate was closed by hand already.");
  await page.keyboard.press("Control+Enter");
  await expect(dialog).toBeHidden();
  await expect(page.getByText(/Rejected · Decided by/)).toBeVisible();
  await expect(page.locator(".timeline")).toContainText("closed by hand");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await expect(list.getByRole("button")).toHaveCount(before - 1);
});

test("keys are listed, and do nothing while one writes", async ({ page }) => {
  await open(page, "/console/operations");
  await expect(page.getByRole("region", { name: "Suggestions" })).toBeVisible();
  await page.keyboard.press("?");
  const help = page.getByRole("dialog", { name: "By keyboard" });
  await expect(help).toContainText("Next suggestion");
  await page.keyboard.press("Escape");
  await expect(help).toBeHidden();
  await page.keyboard.press("w");
  await expect(page.getByRole("button", { name: "Leave wall display" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("heading", { name: "Operations" })).toBeVisible();
});

test("an approval gives a command, whose state is shown as it is", async ({ page }) => {
  await open(page, "/console/operations");
  await expect(page.getByRole("region", { name: "Suggestions" }).getByRole("button").first()).toBeVisible();
  await page.keyboard.press("j");
  await page.keyboard.press("a");
  await expect(page.getByRole("dialog", { name: "Approve" })).toBeVisible();
  await page.keyboard.press("Control+Enter");
  await expect(page.getByText(/Approved · Decided by|approvals/).first()).toBeVisible();
  await open(page, "/console/operations?view=commands");
  await expect(page.getByRole("table")).toContainText(/Sent, no answer yet|Waiting|Done|Unknown/);
});

test("what the server refuses is told in words", async ({ page }) => {
  await page.route("**/ops/v1/suggestions?*", (route) => route.fulfill({ status: 403, json: { title: "Not allowed.", detail: "The role auditor may not read.", code: "TRU-001" } }));
  await open(page, "/console/operations");
  await expect(page.getByRole("alert")).toContainText("Your token does not allow this.");
  await expect(page.getByRole("alert")).toContainText("docs/errors/TRU-001.md");
});
