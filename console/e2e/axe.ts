/** axe-core in the page. It is handed over as a function, since the policy lets no script from outside in. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Page } from "@playwright/test";

const SOURCE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Result {
  violations: { id: string; impact: string | null; nodes: { target: string[]; failureSummary?: string }[] }[];
}

export class AxeBuilder {
  constructor(private readonly page: Page) {}

  async serious(): Promise<string[]> {
    // Through the debugger, past the page's own policy, which stays in force for the page.
    await this.page.evaluate(SOURCE);
    const result = await this.page.evaluate(() => {
      const { axe } = window as unknown as { axe: { run: (where: Document, how: object) => Promise<Result> } };
      return axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] });
    });
    return result.violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target.join(" ")} ${failureSummary ?? ""}`));
  }
}
