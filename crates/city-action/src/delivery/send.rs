//! Sending one notification: what is ready comes in, what came of it goes out.
//!
//! It leaves while its owner may still see it; whoever takes powers away waits for what was begun.

use std::time::Duration;

use bytes::Bytes;
use city_model::subscription::Accept;
use city_model::{Change, Permit, Subscription};
use city_ngsi_ld::context::TermMap;

use super::{Deliveries, Lane};
use crate::told::{Outcome, Prepared, cause};

/// How long an endpoint may take, unless the subscription says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a notification on its way looks whether it must end.
const CUT_LOOK: Duration = Duration::from_millis(50);
/// Answers that a later attempt will not better.
const REFUSALS: [u16; 8] = [400, 401, 403, 405, 410, 413, 415, 422];

impl Deliveries {
    pub(super) async fn send(
        &self,
        subscription: &Subscription,
        terms: &TermMap,
        lane: &Lane,
        prepared: Prepared,
    ) -> Outcome {
        match prepared {
            Prepared::Body(body, permit) => self.release(subscription, terms, lane, body, &permit).await,
            // What may show data of behaviour or persons stands in the trail before it leaves.
            Prepared::Sensitive(body, note, permit) => {
                let noted = self.context.apply(&permit, vec![Change::Note(note)], cause(), Vec::new()).await;
                match noted {
                    Ok(_) => self.release(subscription, terms, lane, body, &permit).await,
                    Err(error) => Outcome::Later(error.to_string()),
                }
            }
            Prepared::Withheld => Outcome::Withheld,
            Prepared::Forgotten => Outcome::Refused("the journal no longer holds what happened".to_owned()),
        }
    }

    /// Sends it while its owner may still see it. What changed meanwhile is made ready anew; whoever took
    /// the powers away waits for what was begun, and cuts what does not end.
    async fn release(
        &self,
        subscription: &Subscription,
        terms: &TermMap,
        lane: &Lane,
        body: Bytes,
        permit: &Permit,
    ) -> Outcome {
        let Some(release) = self.permits.release(permit, self.now()) else {
            return Outcome::Later("what its owner may see was changed".to_owned());
        };
        let cut = async {
            while !release.is_cut() {
                tokio::time::sleep(CUT_LOOK).await;
            }
        };
        tokio::select! {
            outcome = self.post(subscription, terms, lane, body) => outcome,
            () = cut => Outcome::Later("what its owner may see was changed".to_owned()),
        }
    }

    async fn post(&self, subscription: &Subscription, terms: &TermMap, lane: &Lane, body: Bytes) -> Outcome {
        let endpoint = &subscription.notification.endpoint;
        if self.apart.holds(&endpoint.uri) {
            return Outcome::Refused("its endpoint is an actuator's, where only decided commands go".to_owned());
        }
        let mut headers = http::HeaderMap::new();
        let media = match endpoint.accept {
            Accept::Json => "application/json",
            Accept::JsonLd => "application/ld+json",
            Accept::GeoJson => "application/geo+json",
        };
        let mut set = |name: &str, value: &str| {
            // What was accepted with the subscription was checked there; the rest is ours.
            if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        };
        set("content-type", media);
        if endpoint.accept != Accept::JsonLd
            && let Some(link) = terms.link()
        {
            set(
                "link",
                &format!("<{link}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\""),
            );
        }
        if let Some(space) = self.context.tenants().by_number(lane.key.tenant)
            && space.name != city_model::TenantName::default_tenant()
        {
            set("ngsild-tenant", space.name.as_str());
        }
        for (name, value) in &endpoint.receiver_info {
            set(name, value);
        }
        let timeout = endpoint.timeout_ms.map_or(TIMEOUT, Duration::from_millis);
        let started = std::time::Instant::now();
        let answer = self.outbound.post(&endpoint.uri, headers, body, timeout).await;
        metrics::histogram!("renkei_notification_seconds").record(started.elapsed().as_secs_f64());
        match answer {
            Ok(answer) if answer.is_success() => Outcome::Taken,
            Ok(answer) if REFUSALS.contains(&answer.status) => {
                Outcome::Refused(format!("the endpoint answered {}", answer.status))
            }
            Ok(answer) => Outcome::Later(format!("the endpoint answered {}", answer.status)),
            Err(error) => Outcome::Later(error.to_string()),
        }
    }
}
