/** Against a server that wants to know who asks: `renkei serve` of RENKEI_BIN, with a folder of its own. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test as base, type Page } from "@playwright/test";
import { consoleOf, type Beside } from "./beside";

const BIN = process.env["RENKEI_BIN"] ?? "";
const folder = mkdtempSync(join(tmpdir(), "renkei-console-"));
let server: ChildProcess;
let url = "";
let consoleUrl = "";
let beside: Beside;

const test = base;
test.skip(BIN === "", "RENKEI_BIN names no program to serve with");
test.describe.configure({ mode: "serial" });

function token(role: string): string {
  const file = join(folder, "data", "keys", "operator.token");
  return execFileSync(BIN, ["token", "create", "--url", url, "--token-file", file, "--role", role, "--label", role], { encoding: "utf8" }).trim();
}

async function signIn(page: Page, secret: string): Promise<void> {
  await page.goto(`${consoleUrl}/console/sign-in`);
  await page.getByLabel("Token", { exact: true }).fill(secret);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

test.beforeAll(async () => {
  server = spawn(BIN, ["serve", "--data", join(folder, "data"), "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "ignore"] });
  if (!server.stdout) throw new Error("the server says nothing");
  for await (const line of createInterface(server.stdout)) {
    url = /^ready (\S+)/.exec(line)?.[1] ?? "";
    if (url) break;
  }
  beside = await consoleOf(url);
  consoleUrl = beside.url;
});

test.afterAll(async () => {
  await beside.close();
  server.kill();
  rmSync(folder, { recursive: true, force: true });
});

test("whoever says nothing of themselves is asked to sign in", async ({ page }) => {
  await page.goto(`${consoleUrl}/console/now`);
  await expect(page.getByRole("alert")).toContainText("Sign in to see this.");
  await page.getByRole("alert").getByRole("link", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Sign in", exact: true })).toBeVisible();
});

test("a token that the server does not know is told from one that may not read", async ({ page }) => {
  await signIn(page, "rk_0123456789abcdef_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  await expect(page.getByRole("alert").filter({ hasText: "does not know this token" })).toBeVisible();
  await signIn(page, token("auditor"));
  await expect(page).toHaveURL(/\/console\/start$/);
  await page.goto(`${consoleUrl}/console/audit`);
  await page.getByRole("button", { name: "Verify the trail" }).click();
  await expect(page.locator('[data-verdict="good"]')).toBeVisible();
  await page.goto(`${consoleUrl}/console/now`);
  await expect(page.getByRole("alert")).toContainText("Your token does not allow this.");
});

test("a purpose that the token was not made for is told at the sign-in", async ({ page }) => {
  const file = join(folder, "data", "keys", "operator.token");
  const secret = execFileSync(BIN, ["token", "create", "--url", url, "--token-file", file, "--role", "operator", "--purpose", "care"], { encoding: "utf8" }).trim();
  await page.goto(`${consoleUrl}/console/sign-in`);
  await page.evaluate(() => sessionStorage.setItem("renkei.purpose", "curiosity"));
  await signIn(page, secret);
  await expect(page.getByRole("alert").filter({ hasText: "does not fit the tenant or purpose" })).toBeVisible();
});

test("an administrator of an empty city is told how to fill it", async ({ page }) => {
  await signIn(page, token("administrator"));
  await expect(page).toHaveURL(/\/console\/start$/);
  await page.goto(`${consoleUrl}/console/now`);
  await expect(page.getByText("renkei import", { exact: false })).toBeVisible();
});

test("a person takes up an invitation, signs out, and signs in again by name", async ({ page }) => {
  const file = join(folder, "data", "keys", "operator.token");
  const made = execFileSync(
    BIN, ["account", "add", "duty", "--url", url, "--token-file", file, "--role", "operator", "--label", "防災課 当直"], { encoding: "utf8" },
  ).trim();
  await page.goto(made);
  await page.getByLabel(/^Password/).fill("a river that rises at night");
  await page.getByLabel("The same once more").fill("a river that rises at night");
  await page.getByRole("button", { name: "Choose it and sign in" }).click();
  await expect(page).toHaveURL(/\/console\/now$/);
  const look = async (): Promise<void> => {
    await page.getByRole("button", { name: "Settings" }).click();
    await expect(page.getByText("You are signed in as 防災課 当直 (operator).")).toBeVisible();
  };
  await look();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(`${consoleUrl}/console/sign-in`);
  await page.getByRole("link", { name: "With name and password" }).click();
  await page.getByLabel("Name").fill("duty");
  await page.getByLabel("Password").fill("some words that are wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toContainText("not right");
  await page.getByLabel("Password").fill("a river that rises at night");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/console\/now$/);
  await look();
});

test("pages of engineers and administrators are offered to them, and explained to others", async ({ page }) => {
  await signIn(page, token("auditor"));
  await expect(page).toHaveURL(/\/console\/start$/);
  const nav = page.getByRole("navigation", { name: "Pages" });
  await expect(nav.getByRole("link", { name: "Developers" })).toBeVisible();
  await expect(nav.getByRole("link", { name: "Admin" })).toHaveCount(0);
  await expect(nav.getByRole("link", { name: "Sources" })).toHaveCount(0);
  await page.goto(`${consoleUrl}/console/admin`);
  await expect(page.getByRole("alert")).toContainText("This page is for administrators.");
  await expect(page.getByRole("alert")).toContainText("with the roles: auditor");
  await page.goto(`${consoleUrl}/console/sources`);
  await expect(page.getByRole("alert")).toContainText("This page is for operators and administrators.");
  await signIn(page, token("administrator"));
  await expect(nav.getByRole("link", { name: "Admin" })).toBeVisible();
  await nav.getByRole("link", { name: "Sources" }).click();
  await expect(page.getByText("There is no source yet.", { exact: false })).toBeVisible();
});

test("the stream is followed with the token in its header", async ({ page }) => {
  await signIn(page, token("operator"));
  await expect(page).toHaveURL(/\/console\/start$/);
  const opened = page.waitForResponse((response) => new URL(response.url()).pathname === "/stream");
  await page.goto(`${consoleUrl}/console/operations`);
  expect((await opened).status()).toBe(200);
  expect((await (await opened).request().allHeaders())["authorization"]).toMatch(/^Bearer rk_/);
});
