//! Changes that are queued now and answered later: whoever hands in several has them applied in that order.

use city_model::{Applied, Cause, Change, Permit, Rejected};
use tokio::sync::oneshot;

use crate::{Also, Context, Error, stage};

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
}
