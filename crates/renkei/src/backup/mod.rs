//! `renkei backup`: the store of a running server goes out into a folder, as a base or as an
//! increment; what lies in such a folder is listed and verified.

mod chain;
mod manifest;
mod progress;
mod shelf;
mod take;
mod verify;

use std::path::PathBuf;

use anyhow::Result;

use crate::Outcome;
use crate::cli::ServerOptions;

pub use chain::Chain;
pub use manifest::Manifest;
pub use progress::{Progress, mib};
pub use shelf::{Part, PartFile, Shelf, damaged};

#[derive(Debug, Clone, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  renkei backup /backup/koto                 the first time a base, then increments
  renkei backup /backup/koto --full --keep 4 a new base; of all only the newest four stay
  renkei backup list /backup/koto
  renkei backup verify /backup/koto

The server goes on answering and writing. A backup is of all tenants.
A folder that is called list or verify is named ./list or ./verify."
)]
pub struct Options {
    /// Folder of the backups; made if it is not there
    #[arg(value_name = "DIR", required = true)]
    pub dir: Option<PathBuf>,
    /// Make a new base, also where an increment would do
    #[arg(long, env = "RENKEI_BACKUP_FULL")]
    pub full: bool,
    /// Afterwards remove the oldest bases, with their increments, beyond so many; without it all stay
    #[arg(long, env = "RENKEI_BACKUP_KEEP", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    #[command(flatten)]
    pub server: ServerOptions,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Say which times can be restored from a folder of backups
    #[command(after_help = "Example:\n  renkei backup list /backup/koto --json")]
    List {
        /// Folder of the backups
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Answer as JSON, for programs
        #[arg(long, env = "RENKEI_JSON")]
        json: bool,
    },
    /// Check every byte of a folder of backups, and restore the newest one as a trial
    #[command(after_help = "Examples:
  renkei backup verify /backup/koto
  renkei backup verify /backup/koto --quick
  renkei backup verify /backup/koto --scratch /var/tmp

The trial needs as much space as the store and takes it away again.
Exit status: 0 whole, 1 something is damaged; what it is stands on the screen.")]
    Verify(verify::Options),
}

pub fn run(options: &Options) -> Result<Outcome> {
    match (&options.command, &options.dir) {
        (Some(Command::List { dir, json }), _) => verify::list(dir, *json),
        (Some(Command::Verify(options)), _) => verify::run(options),
        (None, Some(dir)) => take::run(dir, options),
        (None, None) => anyhow::bail!("Name the folder of the backups"),
    }
}
