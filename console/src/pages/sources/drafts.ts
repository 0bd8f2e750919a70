/** The message that somebody tries a source with, kept while the page is open: by the name of the source. */
const messages = new Map<string, string>();

export const keepMessage = (name: string, message: string): void => void messages.set(name, message);
export const keptMessage = (name: string): string => messages.get(name) ?? "";
