//! Who is signed in: a secret that lives in a browser's cookie, and what it stands for. In memory alone: after
//! a restart everybody signs in again.

use std::collections::HashMap;

use city_model::{TenantName, Time};
use parking_lot::Mutex;

use crate::token;

/// What the secret of a session begins with.
pub const SESSION_PREFIX: &str = "rs_";
/// Sessions at once; beyond, the one that was used least lately ends.
pub const SESSIONS_MAX: usize = 10_000;
/// Sessions of one account at once; beyond, its oldest ends.
pub const SESSIONS_OF_ACCOUNT_MAX: usize = 16;
/// A session that is not used for so long ends.
pub const SESSION_IDLE_SECONDS: i64 = 30 * 60;
/// A session ends after so long, whatever happens.
pub const SESSION_SECONDS: i64 = 12 * 3_600;

/// An account, by its tenant and name.
pub type AccountOf = (TenantName, Box<str>);

#[derive(Debug, Default)]
pub struct Sessions {
    /// By the digest of the secret.
    by_digest: Mutex<HashMap<Box<str>, Session>>,
}

#[derive(Debug, Clone)]
struct Session {
    account: AccountOf,
    begun: Time,
    used: Time,
}

impl Session {
    fn ends(&self) -> Time {
        let idle = self.used.plus_micros(SESSION_IDLE_SECONDS * 1_000_000);
        idle.min(self.begun.plus_micros(SESSION_SECONDS * 1_000_000))
    }
}

impl Sessions {
    /// Begins a session; `None` where the system gives no random numbers.
    pub fn begin(&self, account: AccountOf, now: Time) -> Option<String> {
        let secret = format!("{SESSION_PREFIX}{}", token::random_secret().ok()?);
        let mut all = self.by_digest.lock();
        all.retain(|_, session| now < session.ends());
        let own = || all.iter().filter(|(_, session)| session.account == account);
        let oldest = match own().count() >= SESSIONS_OF_ACCOUNT_MAX {
            true => own().min_by_key(|(_, session)| session.begun).map(|(digest, _)| digest.clone()),
            false if all.len() >= SESSIONS_MAX => {
                all.iter().min_by_key(|(_, session)| session.used).map(|(digest, _)| digest.clone())
            }
            false => None,
        };
        if let Some(oldest) = oldest {
            all.remove(&oldest);
        }
        all.insert(token::digest(&secret).into(), Session { account, begun: now, used: now });
        Some(secret)
    }

    /// Whose session it is; using it keeps it alive.
    pub fn find(&self, secret: &str, now: Time) -> Option<AccountOf> {
        let mut all = self.by_digest.lock();
        let session = all.get_mut(&*token::digest(secret)).filter(|session| now < session.ends())?;
        session.used = session.used.max(now);
        Some(session.account.clone())
    }

    /// When a session ends if it is not used any more.
    #[must_use]
    pub fn ends(&self, secret: &str) -> Option<Time> {
        self.by_digest.lock().get(&*token::digest(secret)).map(Session::ends)
    }

    pub fn end(&self, secret: &str) {
        self.by_digest.lock().remove(&*token::digest(secret));
    }

    pub fn end_all_of(&self, account: &AccountOf) {
        self.by_digest.lock().retain(|_, session| session.account != *account);
    }

    /// How many sessions an account has now.
    #[must_use]
    pub fn count_of(&self, account: &AccountOf, now: Time) -> usize {
        let all = self.by_digest.lock();
        all.values().filter(|session| session.account == *account && now < session.ends()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn of(name: &str) -> AccountOf {
        (TenantName::default_tenant(), name.into())
    }

    #[test]
    fn a_session_lives_while_it_is_used_and_not_for_ever() {
        let sessions = Sessions::default();
        let secret = sessions.begin(of("a"), at(0)).unwrap();
        assert_eq!(sessions.find("rs_other", at(1)), None);
        let mut now = 0;
        while now + SESSION_IDLE_SECONDS - 1 < SESSION_SECONDS {
            now += SESSION_IDLE_SECONDS - 1;
            assert_eq!(sessions.find(&secret, at(now)), Some(of("a")), "after {now} s");
        }
        assert_eq!(sessions.find(&secret, at(SESSION_SECONDS)), None, "used all the time, and still");
        let idle = sessions.begin(of("a"), at(0)).unwrap();
        assert_eq!(sessions.find(&idle, at(SESSION_IDLE_SECONDS)), None);
        let ended = sessions.begin(of("a"), at(0)).unwrap();
        sessions.end(&ended);
        assert_eq!(sessions.find(&ended, at(1)), None);
    }

    #[test]
    fn an_account_has_so_many_sessions_and_they_can_be_ended_together() {
        let sessions = Sessions::default();
        let other = sessions.begin(of("b"), at(0)).unwrap();
        let own: Vec<String> = (0..=16).map(|second| sessions.begin(of("a"), at(second)).unwrap()).collect();
        assert_eq!(sessions.find(&own[0], at(20)), None, "the oldest made room");
        assert_eq!((sessions.count_of(&of("a"), at(20)), sessions.count_of(&of("b"), at(20))), (16, 1));
        sessions.end_all_of(&of("a"));
        assert!(own.iter().all(|secret| sessions.find(secret, at(20)).is_none()));
        assert_eq!(sessions.find(&other, at(20)), Some(of("b")));
    }
}
