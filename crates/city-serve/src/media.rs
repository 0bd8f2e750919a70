//! `Accept` and `Content-Type` come in; the one media type that both sides mean goes out
//! (CIM 009 clauses 6.3.3 and 6.3.4, RFC 9110 section 12.5.1).

use http::HeaderMap;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::problem::Problem;

/// Ranges in one `Accept`; those after them do not count.
const RANGES_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    Json,
    JsonLd,
    GeoJson,
    MergePatch,
    /// RFC 9512
    Yaml,
    Zip,
    /// Bytes of any kind.
    Bytes,
}

impl MediaType {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLd => "application/ld+json",
            Self::GeoJson => "application/geo+json",
            Self::MergePatch => "application/merge-patch+json",
            Self::Yaml => "application/yaml",
            Self::Zip => "application/zip",
            Self::Bytes => "application/octet-stream",
        }
    }
}

/// The best of what is offered; on equal wishes the one that is offered first. Without `Accept` the first.
pub fn accepted(headers: &HeaderMap, offered: &[MediaType]) -> Result<MediaType, Problem> {
    let ranges: Vec<Range> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(Range::parse)
        .take(RANGES_MAX)
        .collect();
    let mut best: Option<(MediaType, u16)> = None;
    for media_type in offered {
        // The most specific range that fits decides, whatever the others say.
        let fitting = ranges.iter().filter_map(|range| Some((range.fits(*media_type)?, range.quality)));
        let quality = match ranges.is_empty() && !headers.contains_key(ACCEPT) {
            true => 1000,
            false => fitting.max_by_key(|(specific, _)| *specific).map_or(0, |(_, quality)| quality),
        };
        if quality > best.map_or(0, |(_, quality)| quality) {
            best = Some((*media_type, quality));
        }
    }
    best.map(|(media_type, _)| media_type).ok_or_else(|| {
        let detail = format!("The answer can be had as {}; let Accept name one of them.", listed(offered));
        Problem::plain(StatusCode::NOT_ACCEPTABLE, "SRV-030", detail)
    })
}

/// What the body is, if it is one of those that the operation takes.
pub fn content_type(headers: &HeaderMap, taken: &[MediaType]) -> Result<MediaType, Problem> {
    let unsupported = |what: String| {
        let detail = format!("{what} Send the body with Content-Type {}.", listed(taken));
        Problem::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "SRV-031", detail)
    };
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unsupported("The request must have exactly one Content-Type.".into()));
    };
    let text = value.to_str().unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    for parameter in parts {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if key.trim().eq_ignore_ascii_case("charset") && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8") {
            return Err(unsupported(format!("The charset {value} is not taken; JSON is UTF-8.")));
        }
    }
    let found = taken.iter().find(|media_type| media_type.as_str().eq_ignore_ascii_case(name));
    found.copied().ok_or_else(|| unsupported(format!("A body of type \"{name}\" is not taken here.")))
}

struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    /// In thousandths, as RFC 9110 allows three digits.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            key.trim().eq_ignore_ascii_case("q").then(|| quality(value.trim()))
        });
        Some(Self { main, sub, quality: quality.unwrap_or(1000) })
    }

    /// How specifically the range names the type, if it does.
    fn fits(&self, media_type: MediaType) -> Option<u8> {
        let (main, sub) = media_type.as_str().split_once('/')?;
        match (self.main, self.sub) {
            ("*", "*") => Some(0),
            (own, "*") if own.eq_ignore_ascii_case(main) => Some(1),
            (own, own_sub) if own.eq_ignore_ascii_case(main) && own_sub.eq_ignore_ascii_case(sub) => Some(2),
            _ => None,
        }
    }
}

/// An unreadable wish counts as none.
fn quality(text: &str) -> u16 {
    match text.parse::<f32>() {
        Ok(wish) if (0.0..=1.0).contains(&wish) => (wish * 1000.0).round() as u16,
        _ => 0,
    }
}

fn listed(types: &[MediaType]) -> String {
    types.iter().map(|media_type| media_type.as_str()).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: [MediaType; 3] = [MediaType::Json, MediaType::JsonLd, MediaType::GeoJson];

    #[test]
    fn the_best_accepted_type_is_answered() {
        for (accept, expected) in [
            ("*/*", Some(MediaType::Json)),
            ("application/*", Some(MediaType::Json)),
            ("application/ld+json", Some(MediaType::JsonLd)),
            ("Application/LD+JSON;q=0.1", Some(MediaType::JsonLd)),
            ("application/geo+json, */*;q=0.1", Some(MediaType::GeoJson)),
            ("application/json, application/ld+json", Some(MediaType::Json)),
            ("application/json;q=0.5, application/ld+json", Some(MediaType::JsonLd)),
            ("application/ld+json;profile=\"http://a\", application/json;q=0.9", Some(MediaType::JsonLd)),
            ("application/json;q=0, */*", Some(MediaType::JsonLd)),
            ("text/html, application/xhtml+xml, */*;q=0.8", Some(MediaType::Json)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("application/json;q=nonsense", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(accepted(&headers, &OFFERED).ok(), expected, "{accept}");
        }
        assert_eq!(accepted(&HeaderMap::new(), &OFFERED), Ok(MediaType::Json));
    }

    #[test]
    fn only_the_types_that_an_operation_takes_are_read() {
        let taken = [MediaType::Json, MediaType::JsonLd];
        for (value, expected) in [
            ("application/json", Some(MediaType::Json)),
            ("application/ld+json; charset=UTF-8", Some(MediaType::JsonLd)),
            ("application/json;charset=\"utf-8\"", Some(MediaType::Json)),
            ("application/json; charset=shift_jis", None),
            ("application/geo+json", None),
            ("text/plain", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(content_type(&headers, &taken).ok(), expected, "{value}");
        }
        assert_eq!(content_type(&HeaderMap::new(), &taken).unwrap_err().status.as_u16(), 415);
    }
}
