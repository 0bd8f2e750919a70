/** The console as it was built last, beside a server whose binary holds an older one or none: CONSOLE_DIST=1. */
import { fileURLToPath } from "node:url";

export interface Beside {
  url: string;
  close: () => Promise<void>;
}

/** Where the console of this server is looked at. */
export async function consoleOf(server: string): Promise<Beside> {
  if (!process.env["CONSOLE_DIST"]) return { url: server, close: () => Promise.resolve() };
  const { preview } = await import("vite");
  const before = process.env["RENKEI_URL"];
  process.env["RENKEI_URL"] = server;
  const beside = await preview({ root: fileURLToPath(new URL("..", import.meta.url)), logLevel: "error", preview: { port: 4173, strictPort: false } });
  process.env["RENKEI_URL"] = before;
  const address = beside.httpServer.address();
  if (address === null || typeof address === "string") throw new Error("the console has no address");
  return { url: `http://127.0.0.1:${address.port}`, close: () => beside.close() };
}
