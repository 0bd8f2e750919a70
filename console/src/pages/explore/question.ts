/** A question as the form holds it, and as the server is asked it. */
import { entitiesAddress, type EntityQuery } from "../../api/ngsi";
import { headersOf, type Identity } from "../../api/http";

export const OPERATORS = ["==", "!=", ">", ">=", "<", "<=", "~=", "exists"] as const;
export type Operator = (typeof OPERATORS)[number];

export interface Condition {
  attribute: string;
  operator: Operator;
  value: string;
}

export interface Question {
  type: string;
  id: string;
  attrs: string[];
  conditions: Condition[];
  lon: string;
  lat: string;
  metres: string;
  at: string;
}

export const emptyQuestion = (): Question => ({ type: "", id: "", attrs: [], conditions: [], lon: "", lat: "", metres: "", at: "" });

const isBare = (value: string): boolean => /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(value) || value === "true" || value === "false";

/** Numbers and flags stand bare, times too; all else is a text in quotes (CIM 009 clause 4.9). */
export function termOf({ attribute, operator, value }: Condition): string {
  if (operator === "exists") return attribute;
  const isTime = /^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/.test(value);
  // Patterns and texts alike: a quote or backslash inside is escaped.
  return `${attribute}${operator}${isBare(value) || isTime ? value : JSON.stringify(value)}`;
}

export type Wrong = { field: "near" | "at" } | { field: "condition"; attribute: string };

export function wrongWith(question: Question): Wrong | undefined {
  const unfinished = question.conditions.find(({ operator, value }) => operator !== "exists" && value.trim() === "");
  if (unfinished) return { field: "condition", attribute: unfinished.attribute };
  const place = [question.lon, question.lat, question.metres].map((text) => text.trim());
  if (place.some((text) => text !== "")) {
    const [lon = NaN, lat = NaN, metres = NaN] = place.map((text) => (text === "" ? NaN : Number(text)));
    if (!(Math.abs(lon) <= 180 && Math.abs(lat) <= 90 && metres > 0)) return { field: "near" };
  }
  if (question.at.trim() && !/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?Z$/.test(question.at.trim())) return { field: "at" };
  return undefined;
}

export function queryOf(question: Question): EntityQuery {
  const query: EntityQuery = { simplified: true };
  if (question.type) query.type = question.type;
  if (question.id) query.id = question.id;
  if (question.attrs.length > 0) query.attrs = question.attrs.join(",");
  if (question.conditions.length > 0) query.q = question.conditions.map(termOf).join(";");
  if (question.lon.trim()) query.near = { lon: Number(question.lon), lat: Number(question.lat), metres: Number(question.metres) };
  if (question.at.trim()) query.at = question.at.trim();
  return query;
}

/** As one types it: who asks is said by name of the variable, never with the token itself. */
export function curlOf(origin: string, address: string, who: Identity): string {
  const headers = headersOf({ ...who, token: who.token && "$RENKEI_TOKEN" }, "application/json");
  const said = Object.entries(headers)
    .filter(([name]) => name !== "Accept")
    .map(([name, value]) => ` \\\n  -H ${name === "Authorization" ? `"${name}: ${value}"` : quoted(`${name}: ${value}`)}`);
  return `curl -s ${quoted(origin + address)}${said.join("")}`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

export const requestOf = (question: Question, limit: number, offset: number): string =>
  entitiesAddress({ ...queryOf(question), limit, offset, count: true });
