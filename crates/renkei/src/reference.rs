//! The reference page of all commands and settings, made from the command line itself.

use std::fmt::Write;

use crate::cli;

/// Markdown. A test compares it with `docs/reference/commands.md`.
pub fn page() -> String {
    let mut out = String::from(
        "# Commands and settings\n\nMade by `renkei reference` from the program itself; do not edit.\n\n\
         Each setting is a flag, an environment variable and a line of the configuration file\n\
         (`--config FILE`, TOML): the flag `--listen` of `renkei serve` is `listen = \"…\"` under `[serve]`.\n\
         Flags win over variables, variables over the file, the file over the built-in value.\n",
    );
    for command in cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        section(&mut out, command, "renkei");
    }
    out
}

fn section(out: &mut String, command: &clap::Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    // Writing to memory cannot fail.
    let _ = writeln!(out, "\n## `{name}`\n");
    if let Some(about) = command.get_about() {
        let _ = writeln!(out, "{about}.\n");
    }
    let arguments: Vec<&clap::Arg> =
        command.get_arguments().filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version")).collect();
    if !arguments.is_empty() {
        out.push_str("| setting | variable | built-in | meaning |\n|---|---|---|---|\n");
    }
    for argument in arguments {
        let value = argument.get_value_names().and_then(<[_]>::first).map(ToString::to_string).unwrap_or_default();
        let takes_value = argument.get_action().takes_values();
        let flag = match argument.get_long() {
            Some(long) if takes_value => format!("`--{long} {value}`"),
            Some(long) => format!("`--{long}`"),
            None => format!("`{value}`"),
        };
        let variable = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let defaults: Vec<String> =
            argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
        let defaults = if takes_value { defaults.join(", ") } else { String::new() };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "| {flag} | {variable} | {defaults} | {} |", help.replace('|', "\\|"));
    }
    if let Some(after) = command.get_after_help() {
        let _ = writeln!(out, "\n```text\n{after}\n```");
    }
    for nested in command.get_subcommands().filter(|command| command.get_name() != "help") {
        section(out, nested, &name);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_page_says_what_the_program_does() {
        let committed =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/commands.md"));
        let committed = committed.expect("docs/reference/commands.md is there");
        assert!(committed == super::page(), "run `renkei reference > docs/reference/commands.md`");
    }
}
