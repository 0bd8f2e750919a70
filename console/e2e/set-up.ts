/** Finds the console: in the server of RENKEI_URL itself, else beside it (e2e/server.mjs). */
import { start } from "./server.mjs";

export default async function setUp(): Promise<(() => void) | undefined> {
  const url = process.env["RENKEI_URL"];
  if (!url) throw new Error("RENKEI_URL says where a server runs: RENKEI_URL=http://127.0.0.1:8026 npm run e2e");
  const answer = await fetch(`${url}/console/now`).catch(() => undefined);
  if (!answer) throw new Error(`Nothing answers at ${url}. Start one: renkei demo`);
  if (answer.headers.get("content-type")?.startsWith("text/html")) {
    process.env["CONSOLE_URL"] = url;
    console.log(`The console is served by ${url} itself.`);
    return undefined;
  }
  const beside = await start(url);
  process.env["CONSOLE_URL"] = beside.url;
  console.log(`The server does not hold the console: ${beside.url} serves dist/ beside it.`);
  return beside.stop;
}
