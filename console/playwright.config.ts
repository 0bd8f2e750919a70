import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "e2e",
  testMatch: "*.spec.ts",
  outputDir: ".test-results",
  globalSetup: "./e2e/set-up.ts",
  // One browser at a time: the map is drawn without a graphics card.
  workers: 1,
  reporter: "list",
  // Bounds that only a page that hangs reaches; nothing here measures time.
  timeout: 120_000,
  expect: { timeout: 45_000 },
  use: {
    browserName: "chromium",
    viewport: { width: 1280, height: 800 },
    launchOptions: {
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"],
    },
  },
});
