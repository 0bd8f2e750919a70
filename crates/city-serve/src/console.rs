//! The door to the console: the pages that were built into the binary, for everybody. What they show they
//! ask for as everybody does.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use rust_embed::Embed;

use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::parameters::PathParameters;
use crate::problem::{Kind, Problem};

/// Made by `console/build.sh` before the binary; without it the doors say so.
#[derive(Embed)]
#[folder = "../../console/dist"]
#[exclude = ".vite/*"]
#[allow_missing = true]
struct Pages;

/// Nothing from elsewhere, nothing inline, and in nobody's frame.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; worker-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, ours, get, open) = ("console", "docs/reference/console.md", Method::GET, Effect::Open);
    vec![
        Operation::new(door, ours, "get_start", get.clone(), "/", open, page),
        Operation::new(door, ours, "get_console", get.clone(), "/console", open, page),
        Operation::new(door, ours, "get_page", get.clone(), "/console/{*page}", open, page),
        Operation::new(door, ours, "get_asset", get, "/assets/{file}", open, asset),
    ]
}

/// Every page is the one document; its script shows what the address says.
async fn page(headers: HeaderMap) -> Result<Response, Problem> {
    let mut response = file(&headers, "index.html")?;
    let own = response.headers_mut();
    own.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    own.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    own.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// Script, style and pictures; the name of each holds what is in it, but for those that keep theirs.
async fn asset(headers: HeaderMap, path: PathParameters) -> Result<Response, Problem> {
    let name = path.get("file")?;
    let mut response = file(&headers, &format!("assets/{name}"))?;
    let keeps_its_name = ["renkei.svg", "licences.txt"].contains(&name);
    let kept = if keeps_its_name { "no-cache" } else { "public, max-age=31536000, immutable" };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    Ok(response)
}

fn file(headers: &HeaderMap, path: &str) -> Result<Response, Problem> {
    let Some(plain) = Pages::get(path) else {
        let detail = match Pages::get("index.html") {
            Some(_) => format!("The console has no file {path}."),
            None => "This binary was built without the console. Run console/build.sh before cargo build.".to_owned(),
        };
        return Err(Problem::new(Kind::ResourceNotFound, "SRV-019", detail));
    };
    let pressed = Some(()).filter(|()| takes_gzip(headers)).and_then(|()| Pages::get(&format!("{path}.gz")));
    let mut response = (StatusCode::OK, plain_or(&pressed, &plain)).into_response();
    let own = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| drop(own.insert(name, HeaderValue::from_static(value)));
    set(CONTENT_TYPE, media(path));
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(VARY, "accept-encoding");
    if pressed.is_some() {
        set(CONTENT_ENCODING, "gzip");
    }
    Ok(response)
}

fn plain_or(pressed: &Option<rust_embed::EmbeddedFile>, plain: &rust_embed::EmbeddedFile) -> Vec<u8> {
    pressed.as_ref().unwrap_or(plain).data.to_vec()
}

/// Whether gzip is named, and not with a weight of none.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|weight| weight.replace(' ', "").trim_end_matches(['0', '.']) == "q=")
    })
}

fn media(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        let takes = |value: &str| {
            let headers = [(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap())].into_iter().collect();
            takes_gzip(&headers)
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.5") && takes("deflate, gzip; q=1"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("gzip; q=0.0") && !takes("*"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
