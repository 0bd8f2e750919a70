//! A source that the server asks: now and then, and less often while it brings nothing.

use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use city_outbound::Answer;
use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{Method, StatusCode};

use crate::source::take::MESSAGE_BYTES_MAX;
use crate::source::{Key, Message, Sources};

/// How long an answer may take, whole.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// The longest pause of a source that fails.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// Polls until the source is changed, paused or gone.
pub async fn run(sources: Weak<Sources>, key: Key, url: Box<str>, every_seconds: i64) {
    let every = Duration::from_secs(u64::try_from(every_seconds).unwrap_or(1));
    let (mut known, mut failures) = (HeaderMap::new(), 0_u32);
    loop {
        {
            let Some(sources) = sources.upgrade() else { return };
            match once(&sources, &key, &url, &mut known).await {
                Ok(()) => {
                    failures = 0;
                    sources.failing.write().remove(&key);
                }
                Err(why) => {
                    failures += 1;
                    tracing::warn!(source = &*key.1, why, failures, "a source could not be asked");
                    metrics::counter!("renkei_source_polls_failed_total").increment(1);
                    sources.failing.write().insert(key.clone(), why);
                }
            }
        }
        let pause = every.saturating_mul(1 << failures.min(10));
        tokio::time::sleep(if failures == 0 { every } else { pause.min(PAUSE_MAX.max(every)) }).await;
    }
}

async fn once(sources: &Sources, key: &Key, url: &str, known: &mut HeaderMap) -> Result<(), String> {
    let asked =
        sources.outbound.call(Method::GET, url, known.clone(), Bytes::new(), MESSAGE_BYTES_MAX, ANSWER_TIME_MAX);
    let answer = asked.await.map_err(|error| error.to_string())?;
    if answer.status == StatusCode::NOT_MODIFIED.as_u16() {
        return Ok(());
    }
    if !answer.is_success() {
        return Err(format!("{url} answered {}", answer.status));
    }
    let message = Message { bytes: &answer.body, name: url, by: "poll" };
    sources.message(&key.0, &key.1, message).await.map_err(|error| error.to_string())?;
    // Only what was taken is not asked for again.
    *known = conditions(&answer);
    Ok(())
}

/// Asks only for what is newer than this answer.
fn conditions(answer: &Answer) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut take = |from: HeaderName, to: HeaderName| {
        if let Some(value) = answer.headers.get(from).and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
            headers.insert(to, value);
        }
    };
    take(ETAG, IF_NONE_MATCH);
    take(LAST_MODIFIED, IF_MODIFIED_SINCE);
    headers
}
