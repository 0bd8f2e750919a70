//! What can be typed. Every flag is also an environment variable `RENKEI_*` and a line of the
//! configuration file.

use clap::{Args, CommandFactory, Parser, Subcommand};

/// Where the server is, unless it is said otherwise.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8026";

#[derive(Debug, Parser)]
#[command(
    name = "renkei",
    version,
    about = "An open City OS in one binary: a durable NGSI-LD context broker with history and notifications.",
    long_about = None,
    after_help = "Start with:\n  renkei demo                       a living, simulated town\n  renkei serve --data ./city        your own city\n\nConfiguration: flags, then RENKEI_* variables, then the file of --config (TOML, one table a command).\nExit status: 0 done, 1 failed, 2 wrong usage, 3 some of the input was rejected."
)]
pub struct Cli {
    /// Configuration file (TOML), one table for each command
    #[arg(long, global = true, env = "RENKEI_CONFIG", value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(crate::serve::Options),
    /// Run a simulated town to look at and to try things on
    Demo(crate::demo::Options),
    /// Bring files into a running server by a mapping
    Import(crate::import::Options),
    /// Take entities out of a running server
    Export(crate::export::Options),
    /// Ask a running server
    Query(crate::query::Options),
    /// Ask in SQL, over what is and what was
    Sql(crate::sql::Options),
    /// Tokens of programs and devices: make, list, take back
    Token(crate::token::Options),
    /// Who may what: add a policy in words, list, explain, remove
    Policy(crate::policy::Options),
    /// Of which class the values of an attribute are: environment, infrastructure, behaviour, personal
    Class(crate::class::Options),
    /// Accounts of people: add, list, reset the password, remove
    Account(crate::account::Options),
    /// Destroy what is personal of an entity, now, in the past and in every copy
    Erase(crate::erase::Options),
    /// What is suggested, and what a person decides of it: list, approve, alter, reject, look at the record
    Ops(crate::ops::Options),
    /// Rules: what is suggested when; add, list, remove
    Rule(crate::rule::Options),
    /// Actuators: what is commandable, and how commands get there; add, list, remove
    Actuator(crate::actuator::Options),
    /// Sources: what comes in again and again; add, test, list, pause, remove, trace a value
    Source(crate::source::Options),
    /// Messages of sources that could not be used: list, mend, replay, drop
    Rejects(crate::source::RejectsOptions),
    /// Public transport: check a GTFS feed, put it, list, what leaves a stop next
    Gtfs(crate::gtfs::Options),
    /// The trail: what was done, by whom, and whether it is still what it was
    Audit(crate::audit::Options),
    /// Look after subscriptions: how they fare, what was given up, send it again
    Subscriptions(crate::subscriptions::Options),
    /// Take back the deletion of an entity
    Undelete(crate::undelete::Options),
    /// Take a backup of a running server, look at backups, verify them
    Backup(crate::backup::Options),
    /// Make a data folder from a backup, and verify it
    Restore(crate::restore::Options),
    /// Say how a server or a data folder fares, and what to do
    Doctor(crate::doctor::Options),
    /// Put load on a running server and print what was measured as JSON
    Bench(crate::bench::Options),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  renkei completion bash > /etc/bash_completion.d/renkei\n  renkei completion zsh > ~/.zfunc/_renkei"
    )]
    Completion {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the reference page of all commands and settings
    #[command(hide = true)]
    Reference,
}

/// Which server a command talks to, and as which tenant.
#[derive(Debug, Clone, Args)]
pub struct ServerOptions {
    /// Address of the running server
    #[arg(long, env = "RENKEI_URL", default_value = concat!("http://", "127.0.0.1:8026"))]
    pub url: String,
    /// Tenant; without it the default one
    #[arg(long, env = "RENKEI_TENANT")]
    pub tenant: Option<String>,
    /// @context of the names in this command, as a URL
    #[arg(long, env = "RENKEI_CONTEXT_URL", value_name = "URL")]
    pub context: Option<String>,
    /// Token that says who asks; better in the variable, where no list of processes shows it
    #[arg(long, env = "RENKEI_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// File with the token, such as DATA/keys/operator.token beside a server of your own
    #[arg(long, env = "RENKEI_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<std::path::PathBuf>,
    /// For which purpose it is asked
    #[arg(long = "for", env = "RENKEI_PURPOSE", value_name = "PURPOSE")]
    pub asking_for: Option<String>,
    /// Answer as JSON, for programs
    #[arg(long, env = "RENKEI_JSON")]
    pub json: bool,
}

/// The whole command line, as clap knows it.
pub fn command() -> clap::Command {
    Cli::command()
}
