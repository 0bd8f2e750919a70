//! Changes that are queued now and answered later: whoever hands in several has them applied in that order.

use city_model::{Applied, Cause, Change, Permit, Rejected};
use tokio::sync::oneshot;

use crate::stage::Request;
use crate::{Also, Context, Error, stage, weigh};

/// Changes, where they are from, and what is written beside them.
pub type Offered = (Vec<Change>, Cause, Also);

/// Changes that are on their way; dropping it does not call them back.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<stage::Answer>);

impl Pending {
    /// What came of them, once it is durable.
    pub async fn answer(self) -> Result<Vec<Result<Applied, Rejected>>, Error> {
        self.0.await.unwrap_or(Err(Error::Stopping))
    }
}

impl Context {
    /// As `apply`, queued before this returns.
    pub fn apply_soon(
        &self,
        permit: &Permit,
        changes: Vec<Change>,
        cause: Cause,
        also: impl Into<Also>,
    ) -> Result<Pending, Error> {
        self.submit(permit, changes, cause, also.into(), None, false).map(Pending)
    }

    /// As `apply_soon`; where there is no place for it, it is handed back.
    pub fn offer(
        &self,
        permit: &Permit,
        changes: Vec<Change>,
        cause: Cause,
        also: Also,
    ) -> Result<Pending, Box<Offered>> {
        self.queue(permit, (changes, cause, also), None, false).map(Pending)
    }

    /// What there is no place for is handed back.
    pub(crate) fn queue(
        &self,
        permit: &Permit,
        (changes, cause, also): Offered,
        key: Option<Box<str>>,
        by_hand: bool,
    ) -> Result<oneshot::Receiver<stage::Answer>, Box<Offered>> {
        let (answer, receiver) = oneshot::channel();
        let weight = changes.iter().map(weigh::weigh).sum::<usize>() + also.weight();
        let request = Request { permit: permit.clone(), changes, cause, also, key, by_hand, weight, answer };
        match self.committer.submit(request) {
            Ok(()) => Ok(receiver),
            Err((_, Request { changes, cause, also, .. })) => Err(Box::new((changes, cause, also))),
        }
    }
}
