import type { Messages } from "./words";

export const start = {
  title: { en: (town: string) => `Good to see you in ${town}`, ja: (town: string) => `${town}へようこそ` },
  titleUnnamed: { en: "A city, linked", ja: "まちをつなぐ" },
  lead: { en: "What brings you here? Each door leads to an answer, not to a form.", ja: "今日のご用件は？ どの入口も、すぐ答えにつながります。" },
  doors: { en: "Doors", ja: "入口" },
  resident: { en: "Resident", ja: "住民" },
  residentAsk: { en: "What is it like outside right now?", ja: "いま、まちはどうなっている？" },
  operator: { en: "Operator", ja: "運用担当" },
  operatorAsk: { en: "What waits for a decision?", ja: "判断を待っているものは？" },
  engineer: { en: "Engineer", ja: "技術担当" },
  engineerAsk: { en: "Is everything running?", ja: "正常に動いている？" },
  developer: { en: "Developer", ja: "開発者" },
  developerAsk: { en: "Which data is there, and how do I ask for it?", ja: "どんなデータを、どう取得できる？" },
  auditor: { en: "Auditor", ja: "監査担当" },
  auditorAsk: { en: "Who did what, and can it be proven?", ja: "誰が何をしたか、証明できる？" },
  planner: { en: "Planner", ja: "計画担当" },
  plannerAsk: { en: "How does it develop over time?", ja: "どう推移している？" },
  rightNow: { en: "Right now", ja: "いま" },
  things: { en: (count: string) => `${count} things in the city`, ja: (count: string) => `まちのデータ ${count} 件` },
  waiting: { en: (count: string) => `${count} suggestions wait`, ja: (count: string) => `判断待ち ${count} 件` },
  noneWaiting: { en: "No suggestion waits", ja: "判断待ちはありません" },
} satisfies Messages;
