/** What a person set in this browser: language and look for good, who and for what for this tab only. */
import { LANGUAGES, say, type Language, type Message } from "./words/words";

export type Theme = "system" | "light" | "dark";

const forGood = (name: string): string | null => localStorage.getItem(`renkei.${name}`);
const forTab = (name: string): string => sessionStorage.getItem(`renkei.${name}`) ?? "";

function firstLanguage(): Language {
  const asked = [forGood("language") ?? "", ...navigator.languages].map((tag) => tag.slice(0, 2));
  return asked.map((tag) => LANGUAGES.find((known) => known === tag)).find((known) => known !== undefined) ?? "en";
}

function firstTheme(): Theme {
  const kept = forGood("theme");
  return kept === "light" || kept === "dark" ? kept : "system";
}

class Settings {
  language = $state<Language>(firstLanguage());
  theme = $state<Theme>(firstTheme());
  token = $state(forTab("token"));
  tenant = $state(forTab("tenant"));
  purpose = $state(forTab("purpose"));
  context = $state(forTab("context"));

  setLanguage(language: Language): void {
    this.language = language;
    localStorage.setItem("renkei.language", language);
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    localStorage.setItem("renkei.theme", theme);
  }

  /** Plain values: the fields above stand on the class, where a spread does not find them. */
  identity(): { token: string; tenant: string; purpose: string; context: string } {
    return { token: this.token, tenant: this.tenant, purpose: this.purpose, context: this.context };
  }

  /** An empty text forgets the value. */
  setForTab(name: "token" | "tenant" | "purpose" | "context", value: string): void {
    this[name] = value;
    if (value) sessionStorage.setItem(`renkei.${name}`, value);
    else sessionStorage.removeItem(`renkei.${name}`);
  }
}

export const settings = new Settings();

/** The message in the language that is set; changes with it. */
export function t<Values extends unknown[]>(message: Message<Values>, ...values: Values): string {
  return say(settings.language, message, ...values);
}
