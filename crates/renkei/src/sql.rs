//! `renkei sql`: a statement over what is and was, and its rows on the screen.

use std::io::{IsTerminal, Read, Write};

use crate::Outcome;
use crate::cli::ServerOptions;
use crate::client::{Client, good};
use anyhow::{Context, Result, bail};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  renkei sql -q 'SHOW TABLES'
  renkei sql -q 'SELECT id, height FROM Building WHERE height > 30 ORDER BY height DESC LIMIT 10'
  renkei sql -q \"SELECT date_bin(INTERVAL '1 hour', time) AS hour, avg(number) FROM history
                 WHERE attribute = 'waterLevel' GROUP BY hour ORDER BY hour\" --format csv
  renkei sql < question.sql

Tables: entities, attributes, history, and one for each type of entity. Only SELECT is possible.")]
pub struct Options {
    /// The statement; without it, it is read from standard input
    #[arg(short, long, env = "RENKEI_SQL", value_name = "SQL")]
    pub query: Option<String>,
    /// Form of the answer
    #[arg(long, env = "RENKEI_SQL_FORMAT", value_enum, default_value = "table")]
    pub format: Format,
    #[command(flatten)]
    pub server: ServerOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns, for people
    Table,
    /// An array of objects
    Json,
    /// RFC 4180, with a line of names
    Csv,
    /// An Arrow IPC stream
    Arrow,
}

pub fn run(options: &Options) -> Result<Outcome> {
    let text = match &options.query {
        Some(text) => text.clone(),
        None => {
            if std::io::stdin().is_terminal() {
                bail!("Give a statement with -q, such as: renkei sql -q 'SHOW TABLES'");
            }
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("The statement on standard input is not UTF-8")?;
            text
        }
    };
    let format = if options.server.json { Format::Json } else { options.format };
    let client = Client::new(&options.server)?;
    let name = match format {
        Format::Json => "json",
        // Columns of a table stand in the order that was asked for, which an object does not keep.
        Format::Table | Format::Csv => "csv",
        Format::Arrow => "arrow",
    };
    let answer = good(client.post(&format!("/sql/v1/query?format={name}"), text, "application/sql")?)?;
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => table(&mut out, &answer.body)?,
        Format::Arrow if out.is_terminal() => bail!("Arrow is not for a screen; send it to a file with > FILE"),
        Format::Arrow | Format::Csv => out.write_all(&answer.body)?,
        Format::Json => {
            out.write_all(&answer.body)?;
            writeln!(out)?;
        }
    }
    Ok(Outcome::Ok)
}

/// Widest cell that is shown whole.
const CELL_CHARS_MAX: usize = 60;

fn table(out: &mut dyn Write, csv: &[u8]) -> Result<()> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv);
    let rows = reader.records().collect::<Result<Vec<_>, _>>().context("The server's answer is not CSV")?;
    let cell = |text: &str| match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    for row in &rows {
        let pad = |(cell, width): (&String, &usize)| format!("{cell}{}", " ".repeat(width - cell.chars().count()));
        let cells: Vec<String> = row.iter().zip(&widths).map(pad).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    if rows.len() <= 1 {
        writeln!(out, "No rows.")?;
    }
    Ok(())
}
