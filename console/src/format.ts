/** Numbers, times and files as people read them. */
import type { Json } from "./api/entity";
import { valueName } from "./words/names";
import type { Language } from "./words/words";

const LOCALE: Record<Language, string> = { en: "en-GB", ja: "ja-JP" };

export function number(value: number, language: Language, decimals = 3): string {
  return new Intl.NumberFormat(LOCALE[language], { maximumFractionDigits: decimals }).format(value);
}

export function time(at: string, language: Language): string {
  const when = new Date(at);
  if (Number.isNaN(when.getTime())) return at;
  return new Intl.DateTimeFormat(LOCALE[language], {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hour12: false,
  }).format(when);
}

export function clockTime(at: string, language: Language): string {
  return new Intl.DateTimeFormat(LOCALE[language], { hour: "2-digit", minute: "2-digit", hour12: false }).format(new Date(at));
}

export function fullTime(at: string, language: Language): string {
  const when = new Date(at);
  if (Number.isNaN(when.getTime())) return at;
  return new Intl.DateTimeFormat(LOCALE[language], { dateStyle: "medium", timeStyle: "medium", hour12: false }).format(when);
}

/** "3 min", "2 h": the largest unit that is at least one. */
export function duration(seconds: number, language: Language): string {
  const steps: [number, string][] = [
    [86_400, "day"],
    [3_600, "hour"],
    [60, "minute"],
    [1, "second"],
  ];
  const size = Math.max(0, Math.round(seconds));
  const [length, unit] = steps.find(([step]) => size >= step) ?? [1, "second"];
  const style: Intl.NumberFormatOptions = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 0 };
  return new Intl.NumberFormat(LOCALE[language], style).format(Math.floor(size / length));
}

export const secondsBetween = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / 1000;

export function bytes(size: number, language: Language): string {
  const [scale, unit] = size >= 2 ** 30 ? [2 ** 30, "GiB"] : [2 ** 20, "MiB"];
  return `${number(size / scale, language, 1)} ${unit}`;
}

/** One line for a value of any form, as it stands. */
export function raw(value: Json, language: Language): string {
  if (value === null) return "–";
  if (typeof value === "number") return number(value, language);
  if (typeof value === "string") return value;
  return JSON.stringify(value);
}

/** The same for a person: values of known lists in their words. */
export function plain(value: Json, language: Language): string {
  if (typeof value === "string" || typeof value === "boolean") return valueName(String(value), language);
  if (Array.isArray(value) && value.every((item) => typeof item !== "object")) return value.map((item) => plain(item, language)).join(", ");
  return raw(value, language);
}

/** RFC 4180. */
export function csv(columns: string[], rows: Record<string, Json>[]): string {
  const cell = (value: Json | undefined): string => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const line = (cells: string[]): string => `${cells.join(",")}\r\n`;
  return line(columns.map(cell)) + rows.map((row) => line(columns.map((column) => cell(row[column])))).join("");
}

/** Hands a file to the browser. */
export function download(name: string, type: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
