//! Settings come from flags, else from `RENKEI_*`, else from a file, else they are the built-in ones.
//!
//! The file's values become the command line's defaults, so there is one list of settings and
//! `--help` shows what is in force.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use clap::error::ErrorKind;

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
            check(own, id, key, &values).with_context(|| format!("[{name}] {key}"))?;
            changed = changed.mut_arg(id.clone(), |argument| argument.default_values(values).required(false));
        }
        command = command.mut_subcommand(name, |_| changed);
    }
    Ok(command)
}

/// Whether the flag would take these values. A default is believed by clap, not read as one that was typed.
fn check(command: &clap::Command, id: &clap::Id, key: &str, values: &[String]) -> Result<()> {
    let takes_values = command.get_arguments().any(|a| a.get_id() == id && a.get_action().takes_values());
    if !takes_values {
        return match values {
            [only] if only == "true" || only == "false" => Ok(()),
            _ => bail!("must be true or false"),
        };
    }
    let typed = values.iter().map(|value| format!("--{key}={value}"));
    let read = command.clone().try_get_matches_from(std::iter::once(String::new()).chain(typed));
    match read.map_err(|error| (error.kind(), error.to_string())) {
        // That other settings are missing is not this one's fault.
        Ok(_) | Err((ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand, _)) => Ok(()),
        Err((_, why)) => {
            bail!("{}", why.lines().next().unwrap_or_default().trim_start_matches("error: "))
        }
    }
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
    fn a_value_that_its_flag_would_not_take_is_refused_with_its_setting() {
        for (file, setting) in [
            ("[serve]\nlisten = \"everywhere\"\n", "[serve] listen"),
            ("[serve]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n", "[serve] listen"),
            ("[serve]\nbody-mib = 0\n", "[serve] body-mib"),
            ("[serve]\nlog-format = \"xml\"\n", "[serve] log-format"),
            ("[doctor]\njson = \"perhaps\"\n", "[doctor] json"),
            ("[query]\njson = [true, true]\n", "[query] json"),
        ] {
            let error = format!("{:#}", parse(file, &["renkei", "serve", "--data", "x"]).unwrap_err());
            assert!(error.contains(setting), "{file}: {error}");
        }
        parse("[doctor]\njson = true\n", &["renkei", "doctor"]).unwrap();
    }

    #[test]
    fn no_file_breaks_its_reader() {
        let corpus = [
            include_str!("../../../packaging/renkei.toml"),
            "[serve]\ndata = \"/srv/koto\"\nlisten = \"127.0.0.1:9000\"\noutbound-allow = [\"10.0.0.0/8\", \"a.org\"]\n",
            "[doctor]\njson = true\nurl = \"http://127.0.0.1:1\"\n[query]\ntenant = \"koto\"\nlimit = 5\n",
        ];
        let words = [
            "[serve]\n",
            "[query]\n",
            "data",
            "listen",
            " = ",
            "\"",
            "[",
            "]",
            "true",
            "{",
            "}",
            "'''",
            "\n#",
            "1e9",
            "2025-01-01",
        ];
        let corpus = corpus.map(|text| text.as_bytes().to_vec());
        crate::mutate::each_input("config", &corpus, &words, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if text.parse::<toml::Table>().is_ok()
                && let Ok(command) = with_defaults(cli::command(), text)
            {
                drop(command.try_get_matches_from(["renkei", "serve", "--data", "x"]));
            }
        });
    }

    /// The file that the package installs, and the same with every setting that it only shows.
    #[test]
    fn the_packaged_file_is_read_and_shows_every_setting_of_serve() {
        let file = include_str!("../../../packaging/renkei.toml");
        let cli::Command::Serve(options) = parse(file, &["renkei", "serve"]).unwrap().command else {
            panic!("not serve")
        };
        assert!(options.listen.ip().is_loopback() && options.data.to_str() == Some("/var/lib/renkei"));
        let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line.contains(" = ");
        let all: String = file.lines().map(|line| format!("{}\n", &line[usize::from(is_setting(line))..])).collect();
        parse(&all, &["renkei", "serve"]).unwrap();
        let tables: toml::Table = all.parse().unwrap();
        let shown = tables["serve"].as_table().unwrap();
        let command = cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        for name in serve.get_arguments().filter_map(clap::Arg::get_long).filter(|name| *name != "config") {
            assert!(shown.contains_key(name), "packaging/renkei.toml does not show {name}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        cli::command().debug_assert();
    }
}
