/** The same request in curl, Python and TypeScript, with the reader's own address. A token is never written out. */
import { headersOf, type Identity } from "../../api/http";

export const TONGUES = ["curl", "Python", "TypeScript"] as const;
export type Tongue = (typeof TONGUES)[number];

export const TOPICS = ["entities", "one", "history", "stream", "subscribe"] as const;
export type Topic = (typeof TOPICS)[number];

export interface Asked {
  type: string;
  attribute: string;
  id: string;
  /** When the last day began. */
  since: string;
}

const encoded = encodeURIComponent;

export function addressFor(topic: Topic, { type, attribute, id, since }: Asked): string {
  switch (topic) {
    case "entities": return `/ngsi-ld/v1/entities?type=${encoded(type)}&options=keyValues&limit=10`;
    case "one": return `/ngsi-ld/v1/entities/${encoded(id)}`;
    case "history": return `/ngsi-ld/v1/temporal/entities/${encoded(id)}?attrs=${encoded(attribute)}&timerel=after&timeAt=${encoded(since)}&options=temporalValues`;
    case "stream": return `/stream?type=${encoded(type)}&options=keyValues`;
    case "subscribe": return "/ngsi-ld/v1/subscriptions";
  }
}

const subscription = ({ type, attribute }: Asked): string =>
  JSON.stringify(
    {
      type: "Subscription",
      entities: [{ type }],
      watchedAttributes: [attribute],
      notification: { endpoint: { uri: "https://your.example/notify", accept: "application/json" } },
    },
    null,
    2,
  );

/** Who asks, in which tenant and for what, as headers; the token by the name of its variable. */
function headersFor(who: Identity, topic: Topic): [string, string][] {
  const all = headersOf({ ...who, token: who.token && "$RENKEI_TOKEN" }, topic === "stream" ? "text/event-stream" : "application/json");
  const asked = Object.entries(all).filter(([name]) => name !== "Accept" || topic === "stream");
  return topic === "subscribe" ? [...asked, ["Content-Type", "application/json"]] : asked;
}

const shell = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function curl(url: string, headers: [string, string][], body: string, isStream: boolean): string {
  const said = headers.map(([name, value]) => ` \\\n  -H ${name === "Authorization" ? `"${name}: ${value}"` : shell(`${name}: ${value}`)}`);
  return `curl -s${isStream ? "N" : ""} ${shell(url)}${said.join("")}${body ? ` \\\n  -d ${shell(body)}` : ""}`;
}

/** In both languages a text of JSON is one of theirs as well. */
const quoted = (text: string): string => JSON.stringify(text);

function python(url: string, headers: [string, string][], body: string, topic: Topic): string {
  const hasToken = headers.some(([name]) => name === "Authorization");
  const lines = headers.map(([name, value]) => `    ${quoted(name)}: ${name === "Authorization" ? '"Bearer " + os.environ["RENKEI_TOKEN"]' : quoted(value)},`);
  const head = `import json${hasToken ? ", os" : ""}, urllib.request

request = urllib.request.Request(
    ${quoted(url)},
    headers={${lines.length ? `\n    ${lines.join("\n    ")}\n    ` : ""}},${body ? `\n    data=json.dumps(${body.replaceAll("\n", "\n    ")}).encode(),` : ""}
)
with urllib.request.urlopen(request) as answer:
`;
  if (topic === "subscribe") return `${head}    print(answer.status, answer.headers["Location"])\n`;
  if (topic === "stream") return `${head}    for line in answer:\n        if line.startswith(b"data: "):\n            print(json.loads(line[6:]))\n`;
  return `${head}    print(json.dumps(json.load(answer), indent=2, ensure_ascii=False))\n`;
}

function typescript(url: string, headers: [string, string][], body: string, topic: Topic): string {
  const lines = headers.map(([name, value]) => `    ${quoted(name)}: ${name === "Authorization" ? "`Bearer ${process.env.RENKEI_TOKEN}`" : quoted(value)},`);
  const init = [
    ...(topic === "subscribe" ? ['  method: "POST",'] : []),
    ...(lines.length ? [`  headers: {\n${lines.join("\n")}\n  },`] : []),
    ...(body ? [`  body: JSON.stringify(${body.replaceAll("\n", "\n  ")}),`] : []),
  ];
  const head = `const answer = await fetch(${quoted(url)}${init.length ? `, {\n${init.join("\n")}\n}` : ""});
if (!answer.ok) throw new Error(await answer.text());
`;
  if (topic === "subscribe") return `${head}console.log(answer.status, answer.headers.get("Location"));\n`;
  if (topic === "stream") {
    return `${head}const decoder = new TextDecoder();
for await (const piece of answer.body!) {
  console.log(decoder.decode(piece, { stream: true }));
}
`;
  }
  return `${head}console.log(await answer.json());\n`;
}

export function sampleOf(tongue: Tongue, topic: Topic, origin: string, asked: Asked, who: Identity): string {
  const url = origin + addressFor(topic, asked);
  const headers = headersFor(who, topic);
  const body = topic === "subscribe" ? subscription(asked) : "";
  switch (tongue) {
    case "curl": return curl(url, headers, body, topic === "stream");
    case "Python": return python(url, headers, body, topic);
    case "TypeScript": return typescript(url, headers, body, topic);
  }
}

/** What may be tried: an address of this city, with an end. */
export function wrongWith(address: string): "path" | "stream" | undefined {
  const text = address.trim();
  if (!/^\/(?![/\\])[^\s\\]*$/.test(text)) return "path";
  return text === "/stream" || text.startsWith("/stream?") ? "stream" : undefined;
}

/** JSON laid out for people; another text as it stands. */
export function laidOut(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
