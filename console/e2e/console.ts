/** A page of the console that fails its test on any request outside, any breach of the policy, any uncaught error. */
import { AxeBuilder } from "./axe";
import { test as base, expect, type Page } from "@playwright/test";

export { expect };
export type Language = "en" | "ja";

export const address = (path: string): string => `${process.env["CONSOLE_URL"] ?? ""}${path}`;

export const test = base.extend<{ watched: undefined }>({
  watched: [
    async ({ page }, use) => {
      const wrong: string[] = [];
      const own = new URL(address("/")).origin;
      page.on("request", (request) => {
        const url = new URL(request.url());
        if (url.protocol !== "data:" && url.origin !== own) wrong.push(`outside: ${request.url()}`);
      });
      page.on("pageerror", (error) => wrong.push(`uncaught: ${error.message}`));
      page.on("console", (message) => {
        if (/content security policy|refused to/i.test(message.text())) wrong.push(`policy: ${message.text()}`);
      });
      await use(undefined);
      expect(wrong, "requests outside, breaches of the policy, uncaught errors").toEqual([]);
    },
    { auto: true },
  ],
});

export async function open(page: Page, path: string, language: Language = "en"): Promise<void> {
  await page.addInitScript((tag) => {
    if (!localStorage.getItem("renkei.language")) localStorage.setItem("renkei.language", tag);
  }, language);
  const answer = await page.goto(address(path));
  expect(answer?.headers()["content-security-policy"]).toContain("default-src 'self'");
  await expect(page.locator("h1").first()).toBeAttached();
}

/** What axe calls serious or worse, one line each. */
export const barriers = (page: Page): Promise<string[]> => new AxeBuilder(page).serious();
