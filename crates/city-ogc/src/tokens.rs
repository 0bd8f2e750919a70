//! CQL2 text cut into words, numbers, texts and signs, each with its place.

use crate::{Error, FILTER_BYTES_MAX};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token<'a> {
    /// A name or keyword as it is written.
    Word(&'a str),
    /// A name in quotation marks: never a keyword.
    Quoted(String),
    Text(String),
    Number(f64, &'a str),
    Sign(&'static str),
}

const SIGNS: [&str; 15] = ["<>", "<=", ">=", "=", "<", ">", "(", ")", ",", "+", "-", "*", "/", "^", "%"];

/// Tokens with the place of their first character, from 1.
pub(crate) fn tokens<'a>(text: &'a str, parameter: &'static str) -> Result<Vec<(usize, Token<'a>)>, Error> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(Error { parameter, place: 1, why: format!("it is longer than {FILTER_BYTES_MAX} bytes") });
    }
    let (mut found, mut rest, mut seen) = (Vec::new(), text, (0, 0));
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        seen = (at, seen.1 + text[seen.0..at].chars().count());
        let place = seen.1 + 1;
        let Some(first) = rest.chars().next() else { return Ok(found) };
        let fail = |why: &str| Error { parameter, place, why: why.to_owned() };
        let (token, used) = match first {
            '\'' => quoted(rest, '\'')
                .map(|(text, used)| (Token::Text(text), used))
                .ok_or_else(|| fail("a text is not closed by '"))?,
            '"' => quoted(rest, '"')
                .map(|(text, used)| (Token::Quoted(text), used))
                .ok_or_else(|| fail("a name is not closed by \""))?,
            '0'..='9' | '.' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
                // An exponent may have a sign of its own.
                let end = match rest.get(end..) {
                    Some(more) if more.starts_with(['+', '-']) && rest[..end].ends_with(['e', 'E']) => {
                        let digits = more[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(more.len() - 1);
                        end + 1 + digits
                    }
                    _ => end,
                };
                let number = rest[..end].parse::<f64>().ok().filter(|number| number.is_finite());
                (Token::Number(number.ok_or_else(|| fail("this is no number"))?, &rest[..end]), end)
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && !"_.:".contains(c)).unwrap_or(rest.len());
                (Token::Word(&rest[..end]), end)
            }
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign = sign.ok_or_else(|| fail("this character has no place in a filter"))?;
                (Token::Sign(sign), sign.len())
            }
        };
        found.push((place, token));
        rest = &rest[used..];
    }
}

/// A text between two marks, where a doubled mark stands for one; and how many bytes it takes.
fn quoted(text: &str, mark: char) -> Option<(String, usize)> {
    let mut inner = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != mark {
            inner.push(c);
        } else if chars.next_if(|(_, next)| *next == mark).is_some() {
            inner.push(mark);
        } else {
            return Some((inner, at + 1));
        }
    }
    None
}
