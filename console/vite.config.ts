import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

/** Where a running server answers while one develops: `RENKEI_URL=http://127.0.0.1:8126 npm run dev`. */
const server = process.env["RENKEI_URL"] ?? "http://127.0.0.1:8026";
const doors = ["/ngsi-ld", "/ops", "/audit", "/sql", "/trust", "/health", "/vocab", "/stream", "/login", "/logout", "/welcome", "/first-run"];
// The host stays as the browser sent it: the server holds it against where a request says it is from.
const proxy = Object.fromEntries(doors.map((door) => [door, { target: server, changeOrigin: false }]));
/** As crates/city-serve/src/console.rs sends it with every page. */
const policy =
  "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; " +
  "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export default defineConfig({
  plugins: [svelte()],
  server: { host: "127.0.0.1", proxy },
  preview: { host: "127.0.0.1", proxy, headers: { "Content-Security-Policy": policy } },
  // The map's worker is a module of its own, served from /assets (worker-src 'self').
  worker: { format: "es" },
  build: {
    target: "es2022",
    // Data addresses in script or style would need a wider policy than 'self'.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
    // The map library is one file of 1 MB by itself; `npm run size` holds the budgets.
    chunkSizeWarningLimit: 1200,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node", reporters: [["default", { summary: false }]] },
});
