export function start(url: string): Promise<{ url: string; stop: () => void }>;
