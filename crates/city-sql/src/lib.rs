//! SQL over what the city is and was; read-only.
//!
//! A permit and a text come in; the tables that the permit may see are laid under the query engine
//! (DataFusion), and rows go out as JSON, CSV or Arrow. Nothing here writes, opens a file or connects:
//! the engine has no table but ours. Time, rows and memory have a bound each.

mod answer;
mod error;
mod names;
mod now;
mod scan;
mod tables;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use city_context::Context;
use city_history::History;
use city_model::{Permit, Time};
use city_ngsi_ld::TermMap;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use tokio::sync::Semaphore;

pub use answer::{Answer, Format};
pub use error::Error;

use names::Names;
use tables::City;

/// Most rows in an answer.
pub const ROWS_MAX: usize = 100_000;
/// Most bytes that the rows of an answer may hold in memory.
pub const ANSWER_BYTES_MAX: usize = 128 << 20;
/// Most memory that one query may use for joins, groups and sorts.
pub const MEMORY_BYTES_MAX: usize = 256 << 20;
/// Longest text of a query.
pub const QUERY_BYTES_MAX: usize = 64 << 10;
/// Longest time that one query may take, in seconds.
pub const SECONDS_MAX: u64 = 30;
/// Rows that go through the engine together.
const BATCH_ROWS: usize = 4_096;

/// Most operators, `AND`, `OR` and `NOT` among them, in one statement: each may be a level that planning
/// goes down. A long list of alternatives is written with `IN`.
pub const OPERATORS_MAX: usize = 500;
/// Queries that run at the same time; one more is told to come back.
pub const QUERIES_MAX: usize = 2;
/// Stack of the thread that plans and runs a query, in bytes; only what is used takes memory.
const STACK_BYTES: usize = 256 << 20;
/// Functions that make texts of any length, past all bounds.
const FUNCTIONS_ABSENT: [&str; 4] = ["repeat", "lpad", "rpad", "range"];

/// Runs queries over one city. Cheap to clone.
#[derive(Clone)]
pub struct Sql {
    context: Arc<Context>,
    history: Arc<History>,
    places: Arc<Semaphore>,
}

impl Sql {
    #[must_use]
    pub fn new(context: Arc<Context>, history: Arc<History>) -> Self {
        Self { context, history, places: Arc::new(Semaphore::new(QUERIES_MAX)) }
    }

    /// The answer to one statement. Names of types and attributes are those of the terms. It runs on a
    /// thread of its own with a stack of its own, so that no statement can end the process.
    pub async fn query(&self, permit: &Permit, terms: &Arc<TermMap>, text: &str) -> Result<Answer, Error> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(Error::TooLong);
        }
        if operators(text) > OPERATORS_MAX {
            return Err(Error::TooDeep);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Error::Busy)?;
        let (sql, permit, terms, text) = (self.clone(), permit.clone(), Arc::clone(terms), text.to_owned());
        let runtime = tokio::runtime::Handle::current();
        let (answer, receiver) = tokio::sync::oneshot::channel();
        let work = move || {
            let answered = runtime.block_on(async {
                let run = tokio::time::timeout(Duration::from_secs(SECONDS_MAX), sql.run(&permit, &terms, &text));
                run.await.unwrap_or(Err(Error::TooSlow))
            });
            drop(place);
            // Nobody waits any more where the client went away.
            let _ = answer.send(answered);
        };
        let thread = std::thread::Builder::new().name("sql".to_owned()).stack_size(STACK_BYTES).spawn(work);
        thread.map_err(|error| Error::Engine(format!("The thread for a query cannot be started: {error}")))?;
        receiver.await.unwrap_or_else(|_| Err(Error::Engine("A query broke off.".to_owned())))
    }

    async fn run(&self, permit: &Permit, terms: &Arc<TermMap>, text: &str) -> Result<Answer, Error> {
        let space = self.context.tenant(permit)?;
        let names = Arc::new(Names::of(&self.context, &space, permit, terms)?);
        let city = City {
            context: Arc::clone(&self.context),
            history: Arc::clone(&self.history),
            space,
            permit: permit.clone(),
            names,
        };
        let session = session(self.context.clock().now())?;
        tables::register(&session, city)?;
        let only_reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = session.sql_with_options(text, only_reads).await.map_err(Error::of_text)?;
        let mut answer = Answer::new(Arc::new(frame.schema().as_arrow().clone()));
        let mut stream = frame.execute_stream().await.map_err(Error::of_run)?;
        let mut bytes = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(Error::of_run)?;
            bytes += batch.get_array_memory_size();
            answer.push(batch);
            if answer.rows() > ROWS_MAX || bytes > ANSWER_BYTES_MAX {
                return Err(Error::TooMany);
            }
        }
        Ok(answer)
    }
}

/// An engine of its own for each query: no table, file or memory is shared with another.
fn session(now: Time) -> Result<SessionContext, Error> {
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_batch_size(BATCH_ROWS)
        .with_target_partitions(1)
        .with_default_catalog_and_schema(tables::CATALOG, tables::SCHEMA);
    // `Building` is a name of the city, not `building`.
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_limit(MEMORY_BYTES_MAX, 1.0)
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()
        .map_err(Error::of_run)?;
    let session = SessionContext::new_with_config_rt(config, runtime);
    FUNCTIONS_ABSENT.iter().for_each(|name| session.deregister_udf(name));
    now::functions(now).into_iter().for_each(|function| session.register_udf(function));
    Ok(session)
}

/// Signs and words in a statement that join two parts of an expression, those in quotes included: a bound
/// may count too many.
fn operators(text: &str) -> usize {
    let signs = text.split(|sign: char| !"+-*/%|&^<>=!~:".contains(sign)).filter(|run| !run.is_empty()).count();
    let joins = ["and", "or", "not", "union", "join", "when", "is", "like", "between"];
    let words = text.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
    signs + words.filter(|word| joins.iter().any(|join| join.eq_ignore_ascii_case(word))).count()
}
