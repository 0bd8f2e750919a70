// Serves the built console as the binary does (same paths, same policy) and hands every other path to a running
// server. For tests against a server that does not hold the console: node e2e/server.mjs http://127.0.0.1:8026
import { createServer, request } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { loop } from "./loop.mjs";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8" };
const HEADERS = {
  "Content-Security-Policy":
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};

async function serve(path, response) {
  try {
    const body = await readFile(join(DIST, normalize(path)));
    response.writeHead(200, { ...HEADERS, "Content-Type": TYPES[extname(path)] ?? "application/octet-stream" });
    response.end(body);
  } catch {
    response.writeHead(404, HEADERS).end();
  }
}

function hand(incoming, response, target) {
  const headers = { ...incoming.headers, host: target.host };
  const asked = request(new URL(incoming.url, target), { method: incoming.method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  asked.on("error", () => response.writeHead(502).end());
  incoming.pipe(asked);
}

async function bodyOf(incoming) {
  let text = "";
  for await (const part of incoming) text += part;
  return text ? JSON.parse(text) : {};
}

/** The city's clock, from its newest reading. */
async function clockOf(url) {
  const answer = await fetch(`${url}/ngsi-ld/v1/entities?type=WaterObserved&attrs=waterLevel`).catch(() => undefined);
  const times = answer?.ok ? (await answer.json()).map((one) => one.waterLevel?.observedAt ?? "") : [];
  return times.sort().at(-1) || new Date().toISOString();
}

/** Whether the server decides about suggestions itself. */
async function hasLoop(url) {
  const answer = await fetch(`${url}/ops/v1/suggestions`).catch(() => undefined);
  return answer?.status !== 404;
}

/** Starts on a free port of loopback and answers its address. */
export async function start(url) {
  const target = new URL(url);
  const standIn = (await hasLoop(url)) ? undefined : loop(await clockOf(url));
  if (standIn) console.log("The server has no door for suggestions: a stand-in of these tests answers there.");
  const server = createServer((incoming, response) => {
    const { pathname } = new URL(incoming.url ?? "/", "http://console");
    if (pathname.startsWith("/assets/")) return void serve(pathname, response);
    if (pathname === "/" || pathname === "/console" || pathname.startsWith("/console/")) return void serve("/index.html", response);
    if (standIn && pathname.startsWith("/ops/v1/")) {
      void bodyOf(incoming.method === "POST" ? incoming : []).then((body) => {
        const answer = standIn(incoming.method, pathname, body);
        if (!answer) return hand(incoming, response, target);
        response.writeHead(answer[0], { "Content-Type": "application/json" }).end(JSON.stringify(answer[1]));
      });
      return;
    }
    hand(incoming, response, target);
  });
  return new Promise((resolve) => {
    server.listen(Number(process.env.CONSOLE_PORT ?? 0), "127.0.0.1", () => {
      const { port } = server.address();
      resolve({ url: `http://127.0.0.1:${port}`, stop: () => server.close() });
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await start(process.argv[2] ?? "http://127.0.0.1:8026");
  console.log(`console ${url}`);
}
