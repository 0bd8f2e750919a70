//! `Link` headers come in; the one JSON-LD context that they name goes out (CIM 009 clause 6.3.5, RFC 8288).

use http::HeaderMap;
use http::header::LINK;

use crate::problem::{Kind, Problem};

/// JSON-LD 1.1 section 6.2.
pub const CONTEXT_RELATION: &str = "http://www.w3.org/ns/json-ld#context";

/// The address of the request's context. Links of other relations are none of our business; two contexts
/// are an error, since nothing says which one is meant.
pub fn context_link(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut found = None;
    for value in headers.get_all(LINK) {
        let text = std::str::from_utf8(value.as_bytes()).map_err(|_| malformed("it is not UTF-8"))?;
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (address, is_context, after) = one_link(rest)?;
            if is_context && found.replace(address.to_owned()).is_some() {
                return Err(Problem::new(
                    Kind::BadRequestData,
                    "SRV-021",
                    "The request has two Link headers to a JSON-LD @context; give one.",
                ));
            }
            rest = after;
        }
    }
    Ok(found)
}

/// `<address>; name=value; name="quoted"` and what follows its comma.
fn one_link(text: &str) -> Result<(&str, bool, &str), Problem> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    if text.is_empty() {
        return Ok(("", false, ""));
    }
    let inside = text.strip_prefix('<').ok_or_else(|| malformed("an address must stand in < and >"))?;
    let (address, mut rest) = inside.split_once('>').ok_or_else(|| malformed("a < has no >"))?;
    let mut relation: Option<String> = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            break;
        }
        if let Some(next) = rest.strip_prefix(',') {
            rest = next;
            break;
        }
        rest = rest.strip_prefix(';').ok_or_else(|| malformed("after an address only ; or , may follow"))?;
        rest = rest.trim_start_matches([' ', '\t']);
        let end = rest.find([';', ',', '=', ' ', '\t']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let after = after.trim_start_matches([' ', '\t']);
        let value;
        (value, rest) = match after.strip_prefix('=') {
            Some(after) => parameter_value(after.trim_start_matches([' ', '\t']))?,
            None => (String::new(), after),
        };
        // RFC 8288 section 3.3: only the first rel counts.
        if name.eq_ignore_ascii_case("rel") && relation.is_none() {
            relation = Some(value);
        }
    }
    let is_context = relation
        .is_some_and(|relation| relation.split([' ', '\t']).any(|one| one.eq_ignore_ascii_case(CONTEXT_RELATION)));
    if is_context && address.trim().is_empty() {
        return Err(malformed("the address of the @context is empty"));
    }
    Ok((address.trim(), is_context, rest))
}

fn parameter_value(text: &str) -> Result<(String, &str), Problem> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return Ok((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    Err(malformed("a quotation mark is not closed"))
}

fn malformed(why: &str) -> Problem {
    Problem::new(Kind::InvalidRequest, "SRV-020", format!("The Link header cannot be read: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, u16> {
        let headers = values.iter().map(|value| (LINK, value.parse().unwrap())).collect();
        context_link(&headers).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn the_one_context_is_found_among_all_links() {
        let context =
            r#"<https://a.org/c.jsonld>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json""#;
        let found = Ok(Some("https://a.org/c.jsonld".to_owned()));
        assert_eq!(read(&[context]), found);
        assert_eq!(read(&["<https://b.org>; rel=next", context]), found);
        assert_eq!(
            read(&[&format!("<https://b.org/?a=1,2;3>; title=\"a, \\\"b\\\"\"; rel=\"next\" , {context}")]),
            found
        );
        assert_eq!(read(&["<https://a.org/c.jsonld>;rel=\"prev http://www.w3.org/ns/json-ld#context\""]), found);
        assert_eq!(read(&["<https://a.org/c.jsonld> ; type=x ; REL=http://www.w3.org/ns/json-ld#context"]), found);
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["<https://b.org>; rel=next; nothing", ""]), Ok(None));
    }

    #[test]
    fn two_contexts_and_unreadable_links_are_refused() {
        let context = r#"<https://a.org/c>; rel="http://www.w3.org/ns/json-ld#context""#;
        assert_eq!(read(&[context, context]), Err(400));
        assert_eq!(read(&[&format!("{context}, {context}")]), Err(400));
        for bad in [
            "https://a.org",
            "<https://a.org",
            "<a> rel=next",
            "<a>; rel=\"next",
            r#"<>; rel="http://www.w3.org/ns/json-ld#context""#,
        ] {
            assert_eq!(read(&[bad]), Err(400), "{bad}");
        }
    }
}
