/** What to do about what the server refused, by the code of the problem; the pages of docs/errors say more. */
import type { Messages } from "./words";

export const advice = {
  "ING-001": { en: "Correct the place that the message names, and send it again.", ja: "メッセージが示す箇所を直して、もう一度送ってください。" },
  "ING-004": { en: "Look at the first lines of the message: it is in another format than “format” says.", ja: "メッセージの先頭を確認してください。「format」と形式が違います。" },
  "ING-005": { en: "Correct the column's name, or ask for it with has(row.…).", ja: "列名を直すか、has(row.…) で有無を確かめてください。" },
  "ING-007": { en: "Go back to the list: it may have been removed meanwhile.", ja: "一覧に戻ってください。その間に削除された可能性があります。" },
  "ING-008": { en: "Resume the source, then send the message again.", ja: "取り込み元を再開してから、もう一度送ってください。" },
  "ING-009": { en: "Save its text once more: it then acts for you.", ja: "定義をもう一度保存してください。以後はあなたの権限で動作します。" },
  "ING-010": { en: "Wait a moment and send it again.", ja: "少し待ってからもう一度送ってください。" },
  "ING-011": { en: "Load the list again: it was taken, given up or pushed out meanwhile.", ja: "一覧を読み込み直してください。すでに取り込み済みか破棄されています。" },
  "ING-013": { en: "Correct the place that the message names, and save again.", ja: "メッセージが示す箇所を直して、もう一度保存してください。" },
  "TRU-006": { en: "Write it as in the example beside the field.", ja: "入力欄の例にならって書き直してください。" },
  "TRU-016": { en: "Try again: the answer is then by what counts now.", ja: "もう一度お試しください。現在の権限で応答します。" },
  "TRU-017": { en: "Sign in again.", ja: "もう一度サインインしてください。" },
  "TRU-018": { en: "Correct what the message names.", ja: "メッセージが示す項目を直してください。" },
  "SRV-020": { en: "Have the proxy in front of the server pass on “Host” as the browser sent it.", ja: "前段のプロキシーが「Host」をそのまま渡すように設定してください。" },
  "OUT-002": { en: "Have the address allowed at the server's start: --outbound-allow.", ja: "サーバー起動時に --outbound-allow で接続先を許可してください。" },
} satisfies Messages;

export const adviceOn = (code: string): (typeof advice)[keyof typeof advice] | undefined =>
  code in advice ? advice[code as keyof typeof advice] : undefined;
