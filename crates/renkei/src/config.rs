//! Settings come from flags, else from `RENKEI_*`, else from a file, else they are the built-in ones.
//!
//! The file's values become the command line's defaults, so there is one list of settings and
//! `--help` shows what is in force.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};

use crate::cli;

/// The command line with the defaults of the configuration file, if one is named.
pub fn command(arguments: impl Iterator<Item = OsString>) -> Result<clap::Command> {
    let command = cli::command();
    let Some(path) = named_file(arguments) else { return Ok(command) };
    let shown = path.to_string_lossy().into_owned();
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("The configuration file {shown} cannot be read"))?;
    with_defaults(command, &text).with_context(|| format!("In the configuration file {shown}"))
}

fn named_file(arguments: impl Iterator<Item = OsString>) -> Option<OsString> {
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--config") => return arguments.next(),
            Some("--") => break,
            Some(text) => {
                if let Some(path) = text.strip_prefix("--config=") {
                    return Some(path.into());
                }
            }
            None => {}
        }
    }
    std::env::var_os("RENKEI_CONFIG").filter(|path| !path.is_empty())
}

fn with_defaults(mut command: clap::Command, text: &str) -> Result<clap::Command> {
    let tables: toml::Table = text.parse()?;
    for (name, table) in tables {
        let Some(table) = table.as_table() else {
            bail!("{name} is not a table; settings stand under the name of their command, such as [serve]");
        };
        let Some(own) = command.find_subcommand(&name) else {
            bail!("[{name}] is no command");
        };
        let known: Vec<(String, clap::Id)> =
            own.get_arguments().filter_map(|a| Some((a.get_long()?.to_owned(), a.get_id().clone()))).collect();
        let mut changed = own.clone();
        for (key, value) in table {
            let Some((_, id)) = known.iter().find(|(long, _)| long == key) else {
                let names: Vec<&str> = known.iter().map(|(long, _)| long.as_str()).collect();
                bail!("[{name}] has no setting {key}; it has {}", names.join(", "));
            };
            let values = texts(value).with_context(|| format!("[{name}] {key}"))?;
            changed = changed.mut_arg(id.clone(), |argument| argument.default_values(values).required(false));
        }
        command = command.mut_subcommand(name, |_| changed);
    }
    Ok(command)
}

fn texts(value: &toml::Value) -> Result<Vec<String>> {
    Ok(match value {
        toml::Value::Array(items) => items.iter().map(texts).collect::<Result<Vec<_>>>()?.concat(),
        toml::Value::String(text) => vec![text.clone()],
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => vec![value.to_string()],
        _ => bail!("must be a text, a number, true or false, or a list of these"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    fn parse(text: &str, arguments: &[&str]) -> Result<cli::Cli> {
        let matches = with_defaults(cli::command(), text)?.try_get_matches_from(arguments)?;
        Ok(cli::Cli::from_arg_matches(&matches)?)
    }

    #[test]
    fn the_file_gives_what_flags_leave_open() {
        let file = "[serve]\ndata = \"/srv/koto\"\nlisten = \"127.0.0.1:9000\"\noutbound-allow = [\"10.0.0.0/8\", \"a.org\"]\n";
        let cli::Command::Serve(options) =
            parse(file, &["renkei", "serve", "--listen", "127.0.0.1:1"]).unwrap().command
        else {
            panic!("not serve")
        };
        assert_eq!(options.data.to_str(), Some("/srv/koto"));
        assert_eq!(options.listen.to_string(), "127.0.0.1:1");
        assert_eq!(options.outbound_allow.len(), 2);
    }

    #[test]
    fn a_misspelt_setting_is_named() {
        let error = format!("{:#}", parse("[serve]\nlisen = \"x\"\n", &["renkei", "serve"]).unwrap_err());
        assert!(error.contains("[serve] has no setting lisen") && error.contains("listen"), "{error}");
        assert!(parse("[sreve]\n", &["renkei", "serve"]).unwrap_err().to_string().contains("no command"));
        assert!(parse("data = 1\n", &["renkei", "serve"]).is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        cli::command().debug_assert();
    }
}
