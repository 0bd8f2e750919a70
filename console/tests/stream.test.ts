import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { addressOf, Cutter, followStream, waitMs, type Connection } from "../src/api/stream";
import { withChanges } from "../src/pages/now/changes";

describe("a stream of events", () => {
  it("is cut out of pieces wherever they end, also within a line break", () => {
    const cutter = new Cutter();
    const whole = 'retry: 2000\r\n\r\nid: 7\r\nevent: updated\r\ndata: {"a":\r\ndata: 1}\r\n\r\n: still there\n\nid: 8\ndata:x\n\n';
    const cuts = [...whole].flatMap((letter) => cutter.feed(letter));
    expect(cuts).toEqual([{ id: "7", event: "updated", data: '{"a":\n1}' }, { id: "8", event: "message", data: "x" }]);
    expect(new Cutter().feed(whole)).toEqual(cuts);
  });

  it("is asked for behind the last event", () => {
    expect([addressOf({}, undefined), addressOf({ type: "A,B" }, "41")]).toEqual(["/stream", "/stream?type=A%2CB&from=41"]);
  });

  it("is waited for twice as long after each failure, up to half a minute, never all at once", () => {
    expect([1, 2, 3].map((failures) => waitMs(failures, 0.5))).toEqual([1_000, 2_000, 4_000]);
    expect([waitMs(50, 0.5), waitMs(1, 0), waitMs(1, 1)]).toEqual([30_000, 750, 1_250]);
  });

  it("changes what it tells of, and leaves the rest where it is", () => {
    const was = ["a", "b", "c"].map((id) => ({ id, type: "T", n: 0 }));
    const event = (change: "created" | "updated" | "deleted", id: string) => ({ seq: 1, time: "", change, attributes: [], entity: { id, type: "T", n: 1 } });
    expect(withChanges(was, [event("updated", "b"), event("deleted", "a"), event("created", "d")]).map(({ id, n }) => `${id}${String(n)}`)).toEqual(["b1", "c0", "d1"]);
  });
});

let server: Server | undefined;
let stop: (() => void) | undefined;
afterEach(() => {
  stop?.();
  server?.closeAllConnections();
  server?.close();
  globalThis.fetch = real;
});
const { fetch: real } = globalThis;

/** Follows a server that answers so, one after the other; what it was asked and what the follower said. */
async function following(answers: ((response: ServerResponse) => void)[], isAway = (): boolean => false) {
  const asked: string[] = [];
  server = createServer((request, response) => {
    asked.push(request.url ?? "");
    (answers[asked.length - 1] ?? answers.at(-1))?.(response);
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  globalThis.fetch = (input, init) => real(base + String(input), init);
  const said: string[] = [];
  const connections: Connection[] = [];
  let look = (): void => undefined;
  stop = followStream(
    { type: "T" },
    {
      onfresh: () => Promise.resolve(void said.push("fresh")),
      onevent: ({ seq }) => said.push(String(seq)),
      onconnection: (connection) => {
        if (connections.at(-1) !== connection) connections.push(connection);
      },
    },
    { isAway, watch: (onchange) => ((look = onchange), () => undefined) },
  );
  return { asked, said, connections, look: () => look() };
}

const events = (...seqs: number[]): string =>
  seqs.map((seq) => `id: ${seq}\nevent: updated\ndata: ${JSON.stringify({ seq, time: "", change: "updated", attributes: [], entity: { id: "a", type: "T" } })}\n\n`).join("");
const streaming = (text: string, isEnding: boolean) => (response: ServerResponse): void => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.write(text);
  if (isEnding) response.end();
};

describe("whoever follows", () => {
  it("asks what is once, and comes back behind the last event without asking again", async () => {
    const { asked, said, connections } = await following([streaming(events(4, 5), true), streaming(events(6), false)]);
    await expect.poll(() => said, { timeout: 5_000 }).toEqual(["fresh", "4", "5", "6"]);
    expect(asked).toEqual(["/stream?type=T", "/stream?type=T&from=5"]);
    expect(connections).toEqual(["live"]);
  });

  it("says that the connection is lost, and takes it up again", async () => {
    const { said, connections } = await following([(response) => response.destroy(), streaming(events(1), false)]);
    await expect.poll(() => said, { timeout: 5_000 }).toEqual(["fresh", "1"]);
    expect(connections).toEqual(["lost", "live"]);
  });

  it("is told that it may have no stream, and asks for none again", async () => {
    const refused = (response: ServerResponse): void => void response.writeHead(403).end(JSON.stringify({ title: "No.", code: "SRV-022" }));
    const { asked, connections } = await following([refused]);
    await expect.poll(() => connections).toEqual(["refused"]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(asked.length).toBe(1);
  });

  it("begins anew where the server cannot find its place, or has lost changes", async () => {
    const tooFar = (response: ServerResponse): void => void response.writeHead(400).end(JSON.stringify({ code: "SRV-023" }));
    const lost = 'event: lost\ndata: {"after":9,"before":12}\n\n';
    const { said, asked } = await following([streaming(events(9), true), tooFar, streaming(lost + events(12), false)]);
    await expect.poll(() => said, { timeout: 5_000 }).toEqual(["fresh", "9", "fresh", "fresh", "12"]);
    expect(asked[2]).toBe("/stream?type=T");
  });

  it("holds no connection while nobody looks", async () => {
    let away = true;
    const { asked, said, look } = await following([streaming(events(1), false)], () => away);
    expect(asked).toEqual([]);
    away = false;
    look();
    await expect.poll(() => said).toEqual(["fresh", "1"]);
  });
});
