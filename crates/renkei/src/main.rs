//! The City OS in one binary. What each command does stands in the module of its name; here is
//! the table of contents.

mod account;
mod actuator;
mod audit;
mod backup;
mod bench;
mod city;
mod class;
mod cli;
mod client;
mod config;
mod demo;
mod doctor;
mod erase;
mod export;
mod gtfs;
mod import;
mod log_file;
#[cfg(test)]
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;
mod ops;
mod policy;
mod query;
mod reference;
mod restore;
mod rule;
mod serve;
mod source;
mod sql;
mod subscriptions;
mod tls;
mod token;
mod undelete;

use std::process::ExitCode;

use clap::FromArgMatches;

use cli::{Cli, Command};

/// The allocator gives memory back and keeps threads apart better than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How a command ended; the numbers are part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Failed,
    SomeRejected,
}

/// What was typed cannot be meant, although each flag by itself can be read.
#[derive(Debug)]
pub struct WrongUsage(pub String);

impl std::fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}

/// A command whose reader has enough of it, as in `renkei gtfs check … | head`, ends quietly: `println!` knows no other
/// way to say it than a panic. A server keeps going.
fn end_with_the_reader() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>().map(String::as_str).unwrap_or_default();
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            std::process::exit(0);
        }
        told(panic);
    }));
}

fn main() -> ExitCode {
    let command = match config::command(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("renkei: {error:#}");
            return ExitCode::from(2);
        }
    };
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        // clap prints help and version with 0, wrong usage with 2.
        Err(error) => error.exit(),
    };
    match run(cli) {
        Ok(Outcome::Ok) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Ok(Outcome::SomeRejected) => ExitCode::from(3),
        // Whoever reads our output has enough of it, as in `renkei query … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("renkei: {error:#}");
            ExitCode::from(if error.is::<WrongUsage>() { 2 } else { 1 })
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let source = error.root_cause().downcast_ref::<std::io::Error>();
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    if !matches!(cli.command, Command::Serve(_) | Command::Demo(_)) {
        end_with_the_reader();
    }
    match cli.command {
        Command::Serve(options) => serve::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Import(options) => import::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Query(options) => query::run(&options),
        Command::Sql(options) => sql::run(&options),
        Command::Subscriptions(options) => subscriptions::run(&options),
        Command::Token(options) => token::run(&options),
        Command::Policy(options) => policy::run(&options),
        Command::Class(options) => class::run(&options),
        Command::Account(options) => account::run(&options),
        Command::Erase(options) => erase::run(&options),
        Command::Ops(options) => ops::run(&options),
        Command::Rule(options) => rule::run(&options),
        Command::Actuator(options) => actuator::run(&options),
        Command::Source(options) => source::run(&options),
        Command::Gtfs(options) => gtfs::run(&options),
        Command::Rejects(options) => source::run_rejects(&options),
        Command::Audit(options) => audit::run(&options),
        Command::Undelete(options) => undelete::run(&options),
        Command::Backup(options) => backup::run(&options),
        Command::Restore(options) => restore::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Bench(options) => {
            if let Err(error) = options.check() {
                eprintln!("renkei: {error}");
                std::process::exit(2);
            }
            let report = bench::run(&options)?;
            println!("{}", report.to_json());
            Ok(if report.failed() { Outcome::Failed } else { Outcome::Ok })
        }
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut cli::command(), "renkei", &mut std::io::stdout());
            Ok(Outcome::Ok)
        }
        Command::Reference => {
            print!("{}", reference::page());
            Ok(Outcome::Ok)
        }
    }
}
