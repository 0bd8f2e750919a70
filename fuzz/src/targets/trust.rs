//! Readers of who may what: sentences, statements, tokens, keys and checkpoints.

use city_model::Classes;
use city_model::Name;
use city_trust::decide::{self, POLICY_BYTES_MAX, Policies};
use city_trust::trail::note::Verifier;
use city_trust::words::translate;
use city_trust::{Principal, Role};

pub const SENTENCE_WORDS: &[&str] = &[
    "may",
    "not",
    "read",
    "write",
    "subscribe",
    "personal",
    "behaviour",
    "of",
    "in",
    "with",
    "to",
    "m",
    "for",
    "and",
    ",",
    ".",
    "the",
    "anyone",
    "role",
    "token",
    "everything",
    "/a",
    "\"",
    "\\",
    "};permit(",
];

pub const POLICY_WORDS: &[&str] = &[
    "permit",
    "forbid",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "when",
    "unless",
    "&&",
    "||",
    "!",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "has",
    "like",
    "is",
    "if",
    "then",
    "else",
    "resource",
    "principal",
    "context.purpose",
    ".a",
    ".contains(",
    "Type::\"T\"",
    "Scope::\"/a\"",
    "Entity::\"urn:e:1\"",
    "@attributes(\"a\")",
    "@round(\"a=1\")",
    "\"",
    "*",
    "-",
    "1",
    "true",
    ";",
];

pub const CHECKPOINT_WORDS: &[&str] = &["\n", "\n\n", "\u{2014} ", "+", "=", "0", "7", "renkei/00000000/default"];

/// What a sentence stands for is a statement that is taken, and says no more than one.
pub fn sentence(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let expand = |word: &str, _| Name::parse(&format!("urn:n:{word}")).map_err(|error| error.to_string());
    if let Ok(statement) = translate(text, &expand) {
        match decide::parse("p", &statement) {
            Ok(_) => {}
            // A sentence may stand for more than one policy may hold.
            Err(decide::PolicyError::TooDeep | decide::PolicyError::TooLong) => {}
            Err(error) => panic!("{text:?} became {statement:?}: {error}"),
        }
    }
}

/// A statement that is taken can be decided.
pub fn policy(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut policies = Policies::default();
    if policies.insert("p", text).is_ok() {
        assert!(text.len() <= POLICY_BYTES_MAX);
        let who = Principal {
            id: "token:1".into(),
            tenant: city_model::TenantName::default_tenant(),
            roles: vec![Role::Developer],
            organisation: Some("o".into()),
            purposes: Vec::new(),
        };
        let _ = policies.decide(&who, Some("p"), &Classes::new());
    }
}

/// A key that is read is written as it was, and no broken checkpoint is one that was signed.
pub fn checkpoint(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (key, signed) = text.split_once("\n----key----\n").unwrap_or((KEY, text));
    if let Some(verifier) = Verifier::parse(key) {
        assert_eq!(Verifier::parse(&verifier.published()), Some(verifier.clone()));
        if let Some(checkpoint) = verifier.open(signed) {
            assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("renkei/7c6a1a0b/default", 3), "{signed}");
        }
    }
}

const KEY: &str = "renkei/7c6a1a0b/default+00000000+AQ==";
