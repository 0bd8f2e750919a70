/** Repeats a question while somebody looks: never twice at once, never in a hidden tab. */

export function poll(everyMs: number, question: (signal: AbortSignal) => Promise<void>): () => void {
  const stopped = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isAsking = false;

  const again = async (): Promise<void> => {
    clearTimeout(timer);
    if (stopped.signal.aborted || document.hidden || isAsking) return;
    isAsking = true;
    try {
      await question(stopped.signal);
    } finally {
      isAsking = false;
    }
    if (!stopped.signal.aborted && !document.hidden) timer = setTimeout(() => void again(), everyMs);
  };
  const onVisible = (): void => void again();

  document.addEventListener("visibilitychange", onVisible);
  void again();
  return () => {
    stopped.abort();
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", onVisible);
  };
}
