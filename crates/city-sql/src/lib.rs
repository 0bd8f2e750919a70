//! SQL over what the city is and was; read-only.
//!
//! A permit and a text come in; the tables that the permit may see are laid under the query engine
//! (DataFusion), and rows go out as JSON, CSV or Arrow. Nothing here writes, opens a file or connects:
//! the engine has no table but ours. Time, rows and memory have a bound each.

mod answer;
mod error;
mod names;
mod scan;
mod tables;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use city_context::Context;
use city_history::History;
use city_model::Permit;
use city_ngsi_ld::TermMap;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;

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

/// Runs queries over one city.
pub struct Sql {
    context: Arc<Context>,
    history: Arc<History>,
}

impl Sql {
    #[must_use]
    pub fn new(context: Arc<Context>, history: Arc<History>) -> Self {
        Self { context, history }
    }

    /// The answer to one statement. Names of types and attributes are those of the terms.
    pub async fn query(&self, permit: &Permit, terms: &Arc<TermMap>, text: &str) -> Result<Answer, Error> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(Error::TooLong);
        }
        let run = self.run(permit, terms, text);
        match tokio::time::timeout(Duration::from_secs(SECONDS_MAX), run).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TooSlow),
        }
    }

    async fn run(&self, permit: &Permit, terms: &Arc<TermMap>, text: &str) -> Result<Answer, Error> {
        let space = self.context.tenant(permit)?;
        let names = Arc::new(Names::of(&space, permit, terms));
        let city = City {
            context: Arc::clone(&self.context),
            history: Arc::clone(&self.history),
            space,
            permit: permit.clone(),
            names,
        };
        let session = session()?;
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
fn session() -> Result<SessionContext, Error> {
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
    Ok(SessionContext::new_with_config_rt(config, runtime))
}
