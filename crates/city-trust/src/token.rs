//! Tokens of programs and devices: a secret that is shown once, and what is kept of it.
//!
//! A token is `rk_`, sixteen hexadecimal digits that name it, and the secret. Only a digest of the secret is
//! kept, so whoever reads the store cannot use it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use city_model::{TenantName, Time};
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};

use crate::principal::{Principal, Role};

const PREFIX: &str = "rk_";
const ID_DIGITS: usize = 16;
const SECRET_BYTES: usize = 32;
/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 128;

/// Longest life of a token, in days: whoever needs one for longer makes a new one.
pub const TOKEN_DAYS_MAX: i64 = 3_660;
/// Longest label, organisation or purpose, in bytes.
pub const WORD_BYTES_MAX: usize = 128;
/// Most roles and purposes of one token.
pub const WORDS_MAX: usize = 16;

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredToken {
    pub label: Box<str>,
    pub roles: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<Box<str>>,
    /// SHA-256 of the secret, in base64url.
    pub digest: Box<str>,
    pub created_by: Box<str>,
    pub created_at_micros: i64,
    pub expires_at_micros: i64,
}

/// What a token is asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    pub label: String,
    pub roles: Vec<Role>,
    pub organisation: Option<String>,
    pub purposes: Vec<String>,
    pub expires_at: Time,
}

/// A new token, with the one text in which its secret stands.
pub struct NewToken {
    pub id: Box<str>,
    pub text: String,
    pub stored: StoredToken,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("There is no role \"{0}\"; there are {roles}.", roles = roles())]
    NoRole(String),
    #[error("A token needs 1 to {WORDS_MAX} roles: {}.", roles())]
    Roles,
    #[error("\"{0}\" must have 1 to {WORD_BYTES_MAX} bytes, without spaces at its ends or control characters.")]
    Word(String),
    #[error("A token ends after now, and within {TOKEN_DAYS_MAX} days.")]
    Expiry,
    #[error("The system gives no random numbers.")]
    NoRandom,
}

fn roles() -> String {
    Role::ALL.map(Role::as_str).join(", ")
}

impl TokenRequest {
    /// Makes the token. `by` is who asked for it.
    pub fn make(&self, by: &str, now: Time) -> Result<NewToken, TokenError> {
        if self.roles.is_empty() || self.roles.len() > WORDS_MAX || self.purposes.len() > WORDS_MAX {
            return Err(TokenError::Roles);
        }
        let words = std::iter::once(&self.label).chain(&self.organisation).chain(&self.purposes);
        if let Some(word) = words.into_iter().find(|word| !is_word(word)) {
            return Err(TokenError::Word(word.chars().take(40).collect()));
        }
        let latest = now.plus_micros(TOKEN_DAYS_MAX * 86_400 * 1_000_000);
        if self.expires_at <= now || self.expires_at > latest {
            return Err(TokenError::Expiry);
        }
        let id = random::<{ ID_DIGITS / 2 }>()?.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let secret = URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?);
        let stored = StoredToken {
            label: self.label.as_str().into(),
            roles: self.roles.iter().map(|role| role.as_str().into()).collect(),
            organisation: self.organisation.as_deref().map(Into::into),
            purposes: self.purposes.iter().map(|purpose| purpose.as_str().into()).collect(),
            digest: digest(&secret).into(),
            created_by: by.into(),
            created_at_micros: now.as_micros(),
            expires_at_micros: self.expires_at.as_micros(),
        };
        Ok(NewToken { text: format!("{PREFIX}{id}{secret}"), id: id.into(), stored })
    }
}

pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= WORD_BYTES_MAX && text.trim() == text && !text.chars().any(char::is_control)
}

impl StoredToken {
    #[must_use]
    pub fn expires_at(&self) -> Time {
        Time::from_micros(self.expires_at_micros)
    }

    /// Whether this is its secret. Digests are compared: how long that takes tells nothing of the secret.
    #[must_use]
    pub fn has_secret(&self, secret: &str) -> bool {
        *self.digest == *digest(secret)
    }

    #[must_use]
    pub fn principal(&self, id: &str, tenant: &TenantName) -> Principal {
        Principal {
            id: principal_id(id),
            tenant: tenant.clone(),
            roles: self.roles.iter().filter_map(|role| Role::parse(role)).collect(),
            organisation: self.organisation.as_deref().map(Arc::from),
            purposes: self.purposes.iter().map(|purpose| Arc::from(&**purpose)).collect(),
        }
    }
}

/// How the holder of a token is called.
#[must_use]
pub fn principal_id(token_id: &str) -> Arc<str> {
    format!("token:{token_id}").into()
}

/// The id and the secret of a token, if that is what it looks like.
#[must_use]
pub fn split(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix(PREFIX).filter(|_| text.len() <= TOKEN_BYTES_MAX && text.is_ascii())?;
    let (id, secret) = rest.split_at_checked(ID_DIGITS)?;
    (!secret.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((id, secret))
}

/// A secret of its own for one run of the server.
pub fn random_secret() -> Result<String, TokenError> {
    Ok(URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?))
}

#[must_use]
pub fn digest(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, secret.as_bytes()))
}

/// For what is shown to be the same by its digest.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec()
}

fn random<const N: usize>() -> Result<[u8; N], TokenError> {
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| TokenError::NoRandom)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_secret_alone_and_its_secret_is_not_kept() {
        let now = Time::from_micros(1_000_000);
        let request = TokenRequest {
            label: "bus company".into(),
            roles: vec![Role::Developer],
            organisation: Some("bus-company".into()),
            purposes: vec!["operation".into()],
            expires_at: now.plus_micros(86_400_000_000),
        };
        let made = request.make("local-operator", now).unwrap();
        let (id, secret) = split(&made.text).unwrap();
        assert_eq!(id, &*made.id);
        assert!(made.stored.has_secret(secret) && !made.stored.has_secret("x") && !made.stored.has_secret(""));
        assert!(!serde_json::to_string(&made.stored).unwrap().contains(secret));
        assert_ne!(request.make("local-operator", now).unwrap().text, made.text);
        let principal = made.stored.principal(id, &TenantName::default_tenant());
        assert_eq!(principal.purpose(None), Ok(Some("operation")), "the only purpose need not be named");
        assert!(principal.purpose(Some("research")).is_err());
        for wrong in ["", "rk_", "rk_0123456789abcdef", "rk_0123456789abcdeg_", "xx_0123456789abcdefs", "rk_柏"] {
            assert!(split(wrong).is_none(), "{wrong}");
        }
        let forever = TokenRequest { expires_at: now.plus_micros(i64::MAX / 2), ..request.clone() };
        assert_eq!(forever.make("x", now).err(), Some(TokenError::Expiry));
        assert_eq!(TokenRequest { roles: vec![], ..request }.make("x", now).err(), Some(TokenError::Roles));
    }
}
