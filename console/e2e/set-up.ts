/** The console is looked at where its users do: in the server of RENKEI_URL, whose binary holds it. */
import { consoleOf } from "./beside";

export default async function setUp(): Promise<() => Promise<void>> {
  const url = process.env["RENKEI_URL"];
  if (!url) throw new Error("RENKEI_URL says where a server runs: RENKEI_URL=http://127.0.0.1:8026 npm run e2e");
  const beside = await consoleOf(url);
  const answer = await fetch(`${beside.url}/console/now`, { headers: { Accept: "text/html" } }).catch(() => undefined);
  if (!answer) throw new Error(`Nothing answers at ${url}. Start one: renkei demo`);
  if (!answer.headers.get("content-type")?.startsWith("text/html")) {
    throw new Error(`The server at ${url} was built without the console: run console/build.sh, then cargo build.`);
  }
  process.env["CONSOLE_URL"] = beside.url;
  return () => beside.close();
}
