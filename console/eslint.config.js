import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";
import svelteConfig from "./svelte.config.js";

export default ts.config(
  { ignores: ["dist/", "node_modules/", ".test-results/"] },
  js.configs.recommended,
  ts.configs.strict,
  svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser, ...globals.node } },
    rules: {
      // A file with two subjects is two files.
      "max-lines": ["error", { max: 400, skipBlankLines: false, skipComments: false }],
      // `== null` asks for both that stand for nothing.
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-console": "error",
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: [".svelte"], svelteConfig } },
    rules: {
      // Addresses are written by `path()`; there is no other router here.
      "svelte/no-navigation-without-resolve": "off",
      // Markup in a string would need inline styles or worse; nothing here needs it.
      "svelte/no-at-html-tags": "error",
      "svelte/button-has-type": "error",
      // Values are replaced here, never changed inside.
      "svelte/prefer-svelte-reactivity": "off",
    },
  },
  // Tools and tests speak to a terminal.
  { files: ["tools/**", "e2e/**"], rules: { "no-console": "off" } },
);
