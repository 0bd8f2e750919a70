/** Read-only SQL at /sql/v1. */
import { askJson, type Ask } from "./http";
import type { Json } from "./entity";

export type Row = Record<string, Json>;

export const runSql = (statement: string, how: Ask = {}): Promise<Row[]> =>
  askJson<Row[]>("/sql/v1/query?format=json", { ...how, method: "POST", body: statement });
