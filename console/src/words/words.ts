/** Every sentence of the console in both languages, side by side: one that lacks a language does not compile. */
export const LANGUAGES = ["en", "ja"] as const;
export type Language = (typeof LANGUAGES)[number];

type Said = string | ((...values: never[]) => string);
export type Messages = Record<string, Record<Language, Said>>;

/** A message whose values have the same types in every language. */
export type Message<Values extends unknown[]> = Record<Language, string | ((...values: Values) => string)>;

export function say<Values extends unknown[]>(language: Language, message: Message<Values>, ...values: Values): string {
  const said = message[language];
  return typeof said === "string" ? said : said(...values);
}
