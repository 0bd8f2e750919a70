//! Policies in words: a sentence comes in, a statement of the policy language goes out.
//!
//! `the bus company may read BusStop in /Koto, for operation` and
//! `anyone may read name, location of Shelter with location to 500 m` are such sentences. What each
//! name in it means is asked of the caller, who knows the @context.

use std::fmt::Write;

use city_model::{DataClass, Name, Scope};

use crate::principal::Role;

/// Longest sentence.
pub const SENTENCE_BYTES_MAX: usize = 2_048;

/// How a sentence goes, for errors and help.
pub const FORM: &str = "WHO may [not] read|write|subscribe [personal|behaviour] [ATTRIBUTE, … of] TYPE, … [in SCOPE, …] [with ATTRIBUTE to STEP|METRES m, …] [for PURPOSE, …]";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    #[error("The sentence is longer than {SENTENCE_BYTES_MAX} bytes.")]
    TooLong,
    #[error("The sentence has no \"may\". It goes: {FORM}")]
    NoMay,
    #[error("{0} It goes: {FORM}")]
    Wrong(String),
}

/// Which name is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Type,
    Attribute,
}

/// What a sentence says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sentence {
    who: Who,
    not: bool,
    action: &'static str,
    /// Data of behaviour or persons that it opens.
    classes: Vec<&'static str>,
    attributes: Vec<Name>,
    types: Vec<Name>,
    scopes: Vec<Scope>,
    rounded: Vec<(Name, String)>,
    coarsened: Vec<(Name, String)>,
    purposes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Anyone,
    Role(Role),
    Organisation(String),
    Principal(String),
}

/// The statement that a sentence stands for. `expand` gives the full name of a term.
pub fn translate(sentence: &str, expand: &dyn Fn(&str, Asked) -> Result<Name, String>) -> Result<String, WordsError> {
    if sentence.len() > SENTENCE_BYTES_MAX {
        return Err(WordsError::TooLong);
    }
    Ok(read(sentence, expand)?.cedar())
}

fn wrong<T>(what: impl Into<String>) -> Result<T, WordsError> {
    Err(WordsError::Wrong(what.into()))
}

fn read(sentence: &str, expand: &dyn Fn(&str, Asked) -> Result<Name, String>) -> Result<Sentence, WordsError> {
    // "and" joins like a comma; a stop at the end is for the eye.
    let spaced = sentence.trim().trim_end_matches('.').replace(',', " , ");
    let words: Vec<&str> = spaced.split_whitespace().map(|word| if word == "and" { "," } else { word }).collect();
    let may = words.iter().position(|word| *word == "may").ok_or(WordsError::NoMay)?;
    let who = who(&words[..may])?;
    let mut rest = &words[may + 1..];
    let not = rest.first() == Some(&"not");
    rest = &rest[usize::from(not)..];
    let Some((verb, mut rest)) = rest.split_first() else { return wrong("It does not say what may be done.") };
    let action = match *verb {
        "read" | "see" => "read",
        "write" | "change" => "write",
        "subscribe" => "subscribe",
        other => return wrong(format!("\"{other}\" is nothing that may be done; say read, write or subscribe.")),
    };
    let mut classes = Vec::new();
    while let Some(class) = rest.first().and_then(|word| DataClass::parse(word)).filter(|class| class.is_sensitive()) {
        classes.push(class.as_str());
        rest = &rest[1..];
        if let Some((_, behind)) = rest.split_first().filter(|(word, _)| **word == ",") {
            rest = behind;
        }
    }
    let mut parts: Vec<(&str, Vec<&str>)> = vec![("", Vec::new())];
    while let Some((word, behind)) = rest.split_first() {
        rest = behind;
        match *word {
            "of" | "in" | "with" | "for" => parts.push((word, Vec::new())),
            word => parts.last_mut().map(|(_, words)| words.push(word)).unwrap_or_default(),
        }
    }
    let mut said = Sentence {
        who,
        not,
        action,
        classes,
        attributes: Vec::new(),
        types: Vec::new(),
        scopes: Vec::new(),
        rounded: Vec::new(),
        coarsened: Vec::new(),
        purposes: Vec::new(),
    };
    let names = |words: &[&str], asked| -> Result<Vec<Name>, WordsError> {
        list(words).map(|word| expand(&single(&word)?, asked).map_err(WordsError::Wrong)).collect()
    };
    let of = parts.iter().any(|(part, _)| *part == "of");
    let things = parts.iter().find(|(part, _)| *part == if of { "of" } else { "" });
    if action != "subscribe" && things.is_none_or(|(_, words)| list(words).next().is_none()) {
        return wrong("It does not say of what; name types, or say everything.");
    }
    for (part, words) in parts {
        match part {
            "" if of => said.attributes = names(&words, Asked::Attribute)?,
            "" | "of" if matches!(words.as_slice(), [] | ["everything"] | ["anything"] | ["all"]) => {}
            "" | "of" => said.types = names(&words, Asked::Type)?,
            "in" => {
                for word in list(&words) {
                    let scope =
                        Scope::parse(&single(&word)?).map_err(|error| WordsError::Wrong(format!("{error}.")))?;
                    said.scopes.push(scope);
                }
            }
            "with" => {
                for word in list(&words) {
                    let (name, amount, metres) = match word.as_slice() {
                        [name, "to", amount, "m"] => (name, amount, true),
                        [name, "to", amount] => (name, amount, false),
                        other => return wrong(format!("\"{}\" is not ATTRIBUTE to STEP.", other.join(" "))),
                    };
                    if !amount.parse::<f64>().is_ok_and(|amount| amount.is_finite() && amount > 0.0) {
                        return wrong(format!("\"{amount}\" is no number above zero."));
                    }
                    let name = expand(name, Asked::Attribute).map_err(WordsError::Wrong)?;
                    let amounts = if metres { &mut said.coarsened } else { &mut said.rounded };
                    amounts.push((name, (*amount).to_owned()));
                }
            }
            _ => {
                for word in list(&words) {
                    said.purposes.push(word.join("-"));
                }
            }
        }
    }
    said.check()?;
    Ok(said)
}

fn who(words: &[&str]) -> Result<Who, WordsError> {
    let words = if words.first() == Some(&"the") { &words[1..] } else { words };
    Ok(match words {
        [] => return wrong("It does not say who."),
        ["anyone" | "everyone" | "everybody"] => Who::Anyone,
        ["public"] => Who::Role(Role::Public),
        ["role", name] => match Role::parse(name) {
            Some(role) => Who::Role(role),
            None => {
                let roles = Role::ALL.map(Role::as_str).join(", ");
                return wrong(format!("There is no role \"{name}\"; there are {roles}."));
            }
        },
        [kind @ ("token" | "account"), id] => Who::Principal(format!("{kind}:{id}")),
        ["organisation" | "organization", rest @ ..] if !rest.is_empty() => Who::Organisation(rest.join("-")),
        [id] if id.contains(':') => Who::Principal((*id).to_owned()),
        words => Who::Organisation(words.join("-")),
    })
}

/// What stands between commas.
fn list<'w>(words: &'w [&'w str]) -> impl Iterator<Item = Vec<&'w str>> {
    words.split(|word| *word == ",").filter(|words| !words.is_empty()).map(<[&str]>::to_vec)
}

fn single(words: &[&str]) -> Result<String, WordsError> {
    match words {
        [one] => Ok((*one).to_owned()),
        many => wrong(format!("\"{}\" should be one name; put commas between names.", many.join(" "))),
    }
}

impl Sentence {
    fn check(&self) -> Result<(), WordsError> {
        if self.not && !(self.rounded.is_empty() && self.coarsened.is_empty()) {
            return wrong("What may not be done needs no \"with\".");
        }
        if !self.classes.is_empty() && (self.not || self.action != "read" || self.purposes.is_empty()) {
            return wrong("Data of persons and of behaviour is opened for reading, for a purpose: … for PURPOSE.");
        }
        if self.action == "subscribe"
            && !(self.attributes.is_empty() && self.types.is_empty() && self.scopes.is_empty())
        {
            return wrong("Who may subscribe is told of what they may read; say only: WHO may subscribe.");
        }
        Ok(())
    }

    fn cedar(&self) -> String {
        let mut out = String::new();
        let names = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(" ");
        let amounts = |amounts: &[(Name, String)]| {
            amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(" ")
        };
        // Writing to memory cannot fail.
        for (annotation, text) in [
            ("classes", self.classes.join(" ")),
            ("attributes", names(&self.attributes)),
            ("round", amounts(&self.rounded)),
            ("coarsen", amounts(&self.coarsened)),
        ] {
            if !text.is_empty() {
                let _ = writeln!(out, "@{annotation}({})", quoted(&text));
            }
        }
        let principal = match &self.who {
            Who::Anyone => "principal".to_owned(),
            Who::Role(role) => format!("principal in Role::{}", quoted(role.as_str())),
            Who::Organisation(name) => format!("principal in Organisation::{}", quoted(name)),
            Who::Principal(id) => format!("principal == Principal::{}", quoted(id)),
        };
        let effect = if self.not { "forbid" } else { "permit" };
        let _ = write!(out, "{effect} ({principal}, action == Action::\"{}\", resource)", self.action);
        let any = |kind: &str, names: Vec<&str>| match names.as_slice() {
            [] => None,
            [one] => Some(format!("resource in {kind}::{}", quoted(one))),
            many => {
                let many: Vec<String> = many.iter().map(|one| format!("{kind}::{}", quoted(one))).collect();
                Some(format!("resource in [{}]", many.join(", ")))
            }
        };
        let purposes: Vec<String> = self.purposes.iter().map(|purpose| quoted(purpose)).collect();
        let conditions: Vec<String> = [
            any("Type", self.types.iter().map(Name::as_str).collect()),
            any("Scope", self.scopes.iter().map(Scope::as_str).collect()),
            (!purposes.is_empty()).then(|| format!("[{}].contains(context.purpose)", purposes.join(", "))),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !conditions.is_empty() {
            let _ = write!(out, "\nwhen {{ {} }}", conditions.join(" && "));
        }
        out.push(';');
        out
    }
}

/// A text as the policy language writes it.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for sign in text.chars() {
        match sign {
            '"' | '\\' => out.extend(['\\', sign]),
            sign if sign.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(sign));
            }
            sign => out.push(sign),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cedar(sentence: &str) -> Result<String, WordsError> {
        translate(sentence, &|word, asked| match asked {
            Asked::Type => Name::parse(&format!("urn:t:{word}")).map_err(|error| error.to_string()),
            Asked::Attribute => Name::parse(&format!("urn:a:{word}")).map_err(|error| error.to_string()),
        })
    }

    #[test]
    fn sentences_become_statements_that_the_engine_understands() {
        for (sentence, expected) in [
            (
                "the bus company may read BusStop, for operation",
                r#"permit (principal in Organisation::"bus-company", action == Action::"read", resource)
when { resource in Type::"urn:t:BusStop" && ["operation"].contains(context.purpose) };"#,
            ),
            (
                "anyone may read name, location of Shelter in /Koto and /Sumida with location to 500 m, level to 0.5.",
                r#"@attributes("urn:a:name urn:a:location")
@round("urn:a:level=0.5")
@coarsen("urn:a:location=500")
permit (principal, action == Action::"read", resource)
when { resource in Type::"urn:t:Shelter" && resource in [Scope::"/Koto", Scope::"/Sumida"] };"#,
            ),
            (
                "role developer may not read owner of Building",
                r#"@attributes("urn:a:owner")
forbid (principal in Role::"developer", action == Action::"read", resource)
when { resource in Type::"urn:t:Building" };"#,
            ),
            (
                "the clinic may read personal and behaviour birthday of Person, for care",
                r#"@classes("personal behaviour")
@attributes("urn:a:birthday")
permit (principal in Organisation::"clinic", action == Action::"read", resource)
when { resource in Type::"urn:t:Person" && ["care"].contains(context.purpose) };"#,
            ),
            (
                "token 8f3a may write everything",
                r#"permit (principal == Principal::"token:8f3a", action == Action::"write", resource);"#,
            ),
        ] {
            let statement = cedar(sentence).unwrap();
            assert_eq!(statement, expected, "{sentence}");
            crate::decide::parse("p", &statement).unwrap();
        }
    }

    #[test]
    fn what_is_not_understood_is_said_with_how_a_sentence_goes() {
        for (sentence, why) in [
            ("the bus company reads stops", "no \"may\""),
            ("role king may read Throne", "no role \"king\""),
            ("anyone may dance", "nothing that may be done"),
            ("anyone may read Bus Stop", "should be one name"),
            ("anyone may read Shelter in a b", "should be one name"),
            ("anyone may read Shelter with location", "is not ATTRIBUTE to STEP"),
            ("anyone may read Shelter with location to 0 m", "no number above zero"),
            ("anyone may not read Shelter with level to 1", "needs no \"with\""),
            ("the clinic may read personal name of Person", "for a purpose"),
            ("the clinic may write personal name of Person for care", "for a purpose"),
            ("anyone may subscribe Shelter", "told of what they may read"),
            ("may read Shelter", "does not say who"),
            ("the bus company may read", "say everything"),
            ("anyone may read, for operation", "say everything"),
            ("anyone may read name of", "say everything"),
        ] {
            let error = cedar(sentence).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("It goes:"), "{sentence}: {error}");
        }
        let hostile = cedar(r#"a"};permit(principal,action,resource);// may read everything"#).unwrap();
        assert!(hostile.starts_with(r#"permit (principal in Organisation::"a\"};permit"#), "{hostile}");
        crate::decide::parse("p", &hostile).unwrap();
    }
}
