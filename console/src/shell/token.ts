/** A token as a person pastes it, and what the server says of it. */

export const isTokenShape = (token: string): boolean => /^rk_[A-Za-z0-9_-]{8,}$/.test(token);

/**
 * A known token whose role may not read types is refused too (403), yet it is a good one: an auditor's, a device's.
 * TRU-004 and TRU-005 say that tenant or purpose do not fit the token.
 */
export function wrongWith(status: number, code: string): "none" | "unknown" | "other-tenant" | "other" {
  if (status === 401) return "unknown";
  if (code === "TRU-004" || code === "TRU-005") return "other-tenant";
  return status === 403 ? "none" : "other";
}
