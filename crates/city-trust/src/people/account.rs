//! The account of a person: a name, what they are to the city, and a password of which only a hash is kept.
//!
//! Nobody chooses a password for another: whoever makes an account hands on an invitation, a code that lets
//! its holder choose one, once.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use city_model::{TenantName, Time};
use serde::{Deserialize, Serialize};

use crate::principal::{Principal, Role};
use crate::token::{self, WORD_BYTES_MAX, WORDS_MAX};

/// Shortest password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Longest name of an account, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// How long an invitation is good for, in days.
pub const INVITATION_DAYS: i64 = 7;

/// What is kept of an account; its name is its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredAccount {
    /// How the person is shown to others.
    pub label: Box<str>,
    pub roles: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<Box<str>>,
    /// From then on nobody signs in with it: for whoever is there for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at_micros: Option<i64>,
    /// Argon2id, as a PHC string; none until one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Invitation>,
    pub created_by: Box<str>,
    pub created_at_micros: i64,
}

/// What is kept of the code that lets its holder choose a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// SHA-256 of the code, in base64url.
    pub digest: Box<str>,
    pub ends_at_micros: i64,
}

/// What an account is asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRequest {
    pub label: String,
    pub roles: Vec<Role>,
    pub organisation: Option<String>,
    pub purposes: Vec<String>,
    pub ends_at: Option<Time>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error(
        "The name of an account has 1 to {NAME_BYTES_MAX} lower-case letters a to z, digits, dots, hyphens, underscores or @, and begins with a letter or digit."
    )]
    Name,
    #[error("An account needs 1 to {WORDS_MAX} roles of a person: {}.", of_persons())]
    Roles,
    #[error("\"{0}\" must have 1 to {WORD_BYTES_MAX} bytes, without spaces at its ends or control characters.")]
    Word(String),
    #[error("The account would end before now.")]
    Ended,
    #[error("A password has at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes.")]
    Length,
    #[error("This password is too easy to guess: it is the name, one character again and again, or one that many use.")]
    Guessable,
    #[error("The system gives no random numbers.")]
    NoRandom,
    #[error("The password could not be hashed: {0}.")]
    Hash(String),
}

fn of_persons() -> String {
    OF_PERSONS.map(Role::as_str).join(", ")
}

/// The roles that a person can have: a device has a token, and the public is whoever says nothing.
pub const OF_PERSONS: [Role; 5] = [Role::Administrator, Role::Operator, Role::Approver, Role::Developer, Role::Auditor];

/// Begins what many choose, and what stands on every list of those.
const OFTEN_CHOSEN: [&str; 12] = [
    "password",
    "passw0rd",
    "1234567890",
    "0123456789",
    "qwertyuiop",
    "administrator",
    "letmein",
    "iloveyou",
    "changeme",
    "welcome",
    "renkei",
    "abcdefgh",
];

#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|byte| plain(byte) || b".-_@".contains(&byte))
}

impl AccountRequest {
    /// The account, and the code of the invitation to it.
    pub fn make(&self, by: &str, now: Time) -> Result<(StoredAccount, String), AccountError> {
        let are_of_persons = self.roles.iter().all(|role| OF_PERSONS.contains(role));
        if self.roles.is_empty() || self.roles.len() > WORDS_MAX || self.purposes.len() > WORDS_MAX || !are_of_persons {
            return Err(AccountError::Roles);
        }
        let words = std::iter::once(&self.label).chain(&self.organisation).chain(&self.purposes);
        if let Some(word) = words.into_iter().find(|word| !token::is_word(word)) {
            return Err(AccountError::Word(word.chars().take(40).collect()));
        }
        if self.ends_at.is_some_and(|ends_at| ends_at <= now) {
            return Err(AccountError::Ended);
        }
        let mut stored = StoredAccount {
            label: self.label.as_str().into(),
            roles: self.roles.iter().map(|role| role.as_str().into()).collect(),
            organisation: self.organisation.as_deref().map(Into::into),
            purposes: self.purposes.iter().map(|purpose| purpose.as_str().into()).collect(),
            ends_at_micros: self.ends_at.map(Time::as_micros),
            password: None,
            invitation: None,
            created_by: by.into(),
            created_at_micros: now.as_micros(),
        };
        let code = stored.invite(now)?;
        Ok((stored, code))
    }
}

impl StoredAccount {
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    pub fn body(&self) -> Result<Box<[u8]>, serde_json::Error> {
        Ok(serde_json::to_vec(self)?.into())
    }

    /// A new invitation in place of the password and of an earlier one; its code.
    pub fn invite(&mut self, now: Time) -> Result<String, AccountError> {
        let code = token::random_secret().map_err(|_| AccountError::NoRandom)?;
        let ends_at_micros = now.plus_micros(INVITATION_DAYS * 86_400 * 1_000_000).as_micros();
        self.password = None;
        self.invitation = Some(Invitation { digest: token::digest(&code).into(), ends_at_micros });
        Ok(code)
    }

    /// Whether this code lets its holder choose the password now.
    #[must_use]
    pub fn invites(&self, code: &str, now: Time) -> bool {
        self.is_open(now)
            && self.invitation.as_ref().is_some_and(|invitation| {
                now.as_micros() < invitation.ends_at_micros && *invitation.digest == *token::digest(code)
            })
    }

    /// Whether somebody may sign in with it at all.
    #[must_use]
    pub fn is_open(&self, now: Time) -> bool {
        self.ends_at_micros.is_none_or(|ends_at| now.as_micros() < ends_at)
    }

    /// Keeps a password in place of the invitation. Takes some tens of milliseconds of a processor.
    pub fn choose(&mut self, name: &str, password: &str) -> Result<(), AccountError> {
        if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
            return Err(AccountError::Length);
        }
        if is_guessable(name, password) {
            return Err(AccountError::Guessable);
        }
        self.password = Some(hash(password)?.into());
        self.invitation = None;
        Ok(())
    }

    #[must_use]
    pub fn principal(&self, name: &str, tenant: &TenantName) -> Principal {
        Principal {
            id: principal_id(name),
            tenant: tenant.clone(),
            roles: self.roles.iter().filter_map(|role| Role::parse(role)).collect(),
            organisation: self.organisation.as_deref().map(Arc::from),
            purposes: self.purposes.iter().map(|purpose| Arc::from(&**purpose)).collect(),
        }
    }
}

/// How the holder of an account is called.
#[must_use]
pub fn principal_id(name: &str) -> Arc<str> {
    format!("account:{name}").into()
}

fn is_guessable(name: &str, password: &str) -> bool {
    let lower = password.to_lowercase();
    let first = lower.chars().next();
    lower.contains(name) && lower.len() < 2 * name.len()
        || lower.chars().all(|char| Some(char) == first)
        || OFTEN_CHOSEN.iter().any(|often| lower.starts_with(often) && lower.len() < often.len() + 6)
}

/// Argon2id with the parameters that OWASP names: 19 MiB, two passes.
fn hash(password: &str) -> Result<String, AccountError> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed.map(|hash: PasswordHash| hash.to_string()).map_err(|error| AccountError::Hash(error.to_string()))
}

/// Whether this is the password; takes as long where there is none, so that nobody learns who has an account.
#[must_use]
pub fn verify(stored: Option<&str>, password: &str) -> bool {
    /// Of no password that anybody has.
    static NOBODYS: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    if password.len() > PASSWORD_BYTES_MAX {
        return false;
    }
    let nobodys = || NOBODYS.get_or_init(|| hash(&token::random_secret().ok()?).ok()).as_deref();
    let Some(kept) = stored.or_else(nobodys) else { return false };
    let fits = PasswordHash::new(kept).is_ok_and(|kept| {
        PasswordVerifier::<PasswordHash>::verify_password(&Argon2::default(), password.as_bytes(), &kept).is_ok()
    });
    fits && stored.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_micros(1_800_000_000_000_000);

    fn request() -> AccountRequest {
        AccountRequest {
            label: "防災課 当直".into(),
            roles: vec![Role::Approver],
            organisation: None,
            purposes: Vec::new(),
            ends_at: None,
        }
    }

    #[test]
    fn a_password_is_chosen_with_the_invitation_alone_and_then_it_is_spent() {
        let (mut account, code) = request().make("test", NOW).unwrap();
        assert!(account.invites(&code, NOW) && !account.invites("other", NOW));
        assert!(!account.invites(&code, NOW.plus_micros(8 * 86_400 * 1_000_000)), "a week later");
        account.choose("duty", "a river that rises at night").unwrap();
        assert!(!account.invites(&code, NOW));
        let kept = account.password.as_deref();
        assert!(kept.unwrap().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(kept, "a river that rises at night") && !verify(kept, "a river that falls at night"));
        assert!(!verify(None, "a river that rises at night"));
        let again = account.invite(NOW).unwrap();
        assert!(account.password.is_none() && account.invites(&again, NOW));
    }

    #[test]
    fn passwords_that_are_short_long_or_guessed_are_refused() {
        let (mut account, _) = request().make("test", NOW).unwrap();
        for (password, why) in [
            ("short", AccountError::Length),
            ("十一文字しかない合言葉", AccountError::Length),
            (&"x".repeat(257), AccountError::Length),
            ("aaaaaaaaaaaa", AccountError::Guessable),
            ("Password12345", AccountError::Guessable),
            ("watanabe.river", AccountError::Guessable),
        ] {
            assert_eq!(account.choose("watanabe.river", password), Err(why), "{password}");
        }
        assert_eq!(account.choose("watanabe.river", "十二文字ある合言葉、川の水"), Ok(()));
    }

    #[test]
    fn names_roles_and_ends_are_checked() {
        for name in ["duty", "a.sato@koto", "1st_floor-desk"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Duty", "当直", "-x", ".x", "a b", "a/b", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
        let with = |change: &dyn Fn(&mut AccountRequest)| {
            let mut request = request();
            change(&mut request);
            request.make("test", NOW).map(drop)
        };
        assert_eq!(with(&|r| r.roles = vec![Role::Device]), Err(AccountError::Roles));
        assert_eq!(with(&|r| r.roles.clear()), Err(AccountError::Roles));
        assert_eq!(with(&|r| r.label = " x".into()), Err(AccountError::Word(" x".into())));
        assert_eq!(with(&|r| r.ends_at = Some(NOW)), Err(AccountError::Ended));
        let (account, code) =
            AccountRequest { ends_at: Some(NOW.plus_micros(1)), ..request() }.make("test", NOW).unwrap();
        assert!(account.is_open(NOW) && !account.is_open(NOW.plus_micros(1)));
        assert!(!account.invites(&code, NOW.plus_micros(1)));
    }
}
