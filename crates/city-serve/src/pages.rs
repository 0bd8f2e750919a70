//! Pages for people who are not signed in yet: signing in, taking up an invitation, and the first start.
//!
//! They are plain HTML without a script, so that they work in any browser, in Japanese or English as it asks.
//! Where a page leads after signing in is the console, or an address of this server that it was asked with.

use std::sync::{Arc, LazyLock};

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use city_model::TenantName;
use city_trust::Role;
use city_trust::people::account::{AccountError, AccountRequest, PASSWORD_CHARS_MIN, is_name};
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue,
    LOCATION, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};

use crate::body::WholeBody;
use crate::caller::from_own_page;
use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::frame::Peer;
use crate::parameters::Parameters;
use crate::people::{begin_session, cookie, end_session, hashing, keep, no_cookie};
use crate::problem::{Kind, Problem};

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    let (door, ours, open) = ("people", "docs/reference/accounts.md", Effect::Open);
    vec![
        Operation::new(door, ours, "show_sign_in", Method::GET, "/login", open, show_sign_in),
        Operation::new(door, ours, "submit_sign_in", Method::POST, "/login", open, submit_sign_in),
        Operation::new(door, ours, "submit_sign_out", Method::POST, "/logout", open, submit_sign_out),
        Operation::new(door, ours, "show_welcome", Method::GET, "/welcome", open, show_welcome),
        Operation::new(door, ours, "submit_welcome", Method::POST, "/welcome", open, submit_welcome),
        Operation::new(door, ours, "show_first_run", Method::GET, "/first-run", open, show_first_run),
        Operation::new(door, ours, "submit_first_run", Method::POST, "/first-run", open, submit_first_run),
    ]
}

const STYLE: &str = "body{font:1rem/1.6 system-ui,sans-serif;max-width:24rem;margin:12vh auto;padding:0 1rem;\
color:#1b2733;background:#f6f8fa}h1{font-size:1.4rem}label{display:block;margin:1rem 0 .25rem}\
input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;border:1px solid #7b8794;border-radius:.25rem}\
button{font:inherit;margin-top:1.5rem;padding:.5rem 1.5rem;border:0;border-radius:.25rem;color:#fff;background:#0b5cad}\
[role=alert]{border-left:.25rem solid #b3261e;padding:.5rem 1rem;background:#fbeceb}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#10161d}input{color:inherit;background:#1b2430}\
[role=alert]{background:#3a1b1a}}";

/// Nothing from elsewhere, no script, this one style, and forms go to this server alone.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(city_trust::sha256(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
});

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Japanese,
    English,
}

impl Language {
    /// The first of the two that a browser names.
    fn of(headers: &HeaderMap) -> Self {
        let named = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut tags = named.split(',').map(|tag| tag.trim().to_ascii_lowercase());
        match tags.find(|tag| tag.starts_with("ja") || tag.starts_with("en")) {
            Some(tag) if tag.starts_with("ja") => Self::Japanese,
            _ => Self::English,
        }
    }

    fn tag(self) -> &'static str {
        if self == Self::Japanese { "ja" } else { "en" }
    }

    fn say(self, english: &str, japanese: &str) -> String {
        if self == Self::Japanese { japanese.to_owned() } else { english.to_owned() }
    }
}

/// A field of a form.
struct Field {
    label: String,
    name: &'static str,
    value: String,
    kind: &'static str,
    complete: &'static str,
}

/// A page with one form.
struct Form {
    title: String,
    /// What is wrong with what was sent.
    wrong: Option<String>,
    text: String,
    action: &'static str,
    fields: Vec<Field>,
    button: String,
}

impl Form {
    fn render(&self, language: Language) -> String {
        let mut out = format!(
            "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{title} – Renkei</title><style>{STYLE}</style></head><body><main>\
             <h1>{title}</h1>",
            language.tag(),
            title = escape(&self.title)
        );
        if let Some(wrong) = &self.wrong {
            out.push_str(&format!("<p role=\"alert\">{}</p>", escape(wrong)));
        }
        if !self.text.is_empty() {
            out.push_str(&format!("<p>{}</p>", escape(&self.text)));
        }
        if !self.action.is_empty() {
            out.push_str(&format!("<form method=\"post\" action=\"{}\">", self.action));
            for Field { label, name, value, kind, complete } in &self.fields {
                if *kind != "hidden" {
                    out.push_str(&format!("<label for=\"{name}\">{}</label>", escape(label)));
                }
                out.push_str(&format!(
                    "<input id=\"{name}\" name=\"{name}\" type=\"{kind}\" value=\"{}\" autocomplete=\"{complete}\">",
                    escape(value)
                ));
            }
            out.push_str(&format!("<button>{}</button></form>", escape(&self.button)));
        }
        out.push_str("</main></body></html>\n");
        out
    }

    fn answer(&self, status: StatusCode, language: Language) -> Response {
        let mut response = (status, self.render(language)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(policy) = HeaderValue::from_str(&POLICY) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            char => out.push(char),
        }
    }
    out
}

fn hidden(name: &'static str, value: &str) -> Field {
    Field { label: String::new(), name, value: value.to_owned(), kind: "hidden", complete: "off" }
}

fn name_field(language: Language, value: &str) -> Field {
    let label = language.say("Name", "アカウント名");
    Field { label, name: "name", value: value.to_owned(), kind: "text", complete: "username" }
}

fn password_field(label: String, name: &'static str, complete: &'static str) -> Field {
    Field { label, name, value: String::new(), kind: "password", complete }
}

/// The two fields in which a new password is written.
fn new_password(language: Language) -> [Field; 2] {
    [
        password_field(
            language.say(
                &format!("Password (at least {PASSWORD_CHARS_MIN} characters)"),
                &format!("パスワード（{PASSWORD_CHARS_MIN} 文字以上）"),
            ),
            "password",
            "new-password",
        ),
        password_field(language.say("The same once more", "パスワード（確認）"), "again", "new-password"),
    ]
}

/// What a browser's form sends.
fn form_of(headers: &HeaderMap, bytes: &[u8]) -> Result<Parameters, Problem> {
    from_own_page(&Method::POST, headers)?;
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = media.split(';').next().is_some_and(|name| name.trim() == "application/x-www-form-urlencoded");
    let text = std::str::from_utf8(bytes).ok().filter(|_| is_form);
    let detail = "This page takes application/x-www-form-urlencoded, as its form sends it.";
    Parameters::parse(text.ok_or_else(|| Problem::new(Kind::InvalidRequest, "SRV-021", detail))?)
}

/// A path of this server, where somebody wanted to go; else the console.
fn wanted(next: Option<&str>) -> &str {
    let is_here = |next: &&str| {
        next.starts_with('/')
            && !next.starts_with("//")
            && !next.contains(['\\', '\n', '\r', '\t'])
            && next.bytes().all(|byte| (0x21..0x7f).contains(&byte))
    };
    next.filter(is_here).unwrap_or("/")
}

fn tenant(named: Option<&str>) -> Result<TenantName, Problem> {
    match named.filter(|name| !name.is_empty()) {
        Some(name) => Ok(TenantName::parse(name)?),
        None => Ok(TenantName::default_tenant()),
    }
}

fn sign_in_form(language: Language, asked: &Parameters, wrong: Option<String>) -> Form {
    let find = |name| asked.find(name).unwrap_or_default();
    let mut fields = vec![
        name_field(language, find("name")),
        password_field(language.say("Password", "パスワード"), "password", "current-password"),
    ];
    fields.extend(
        ["next", "tenant"].into_iter().filter(|name| !find(name).is_empty()).map(|name| hidden(name, find(name))),
    );
    Form {
        title: language.say("Sign in", "サインイン"),
        wrong,
        text: String::new(),
        action: "/login",
        fields,
        button: language.say("Sign in", "サインイン"),
    }
}

async fn show_sign_in(headers: HeaderMap, asked: Parameters) -> Result<Response, Problem> {
    asked.only(&["next", "tenant", "name"])?;
    let language = Language::of(&headers);
    Ok(sign_in_form(language, &asked, None).answer(StatusCode::OK, language))
}

async fn submit_sign_in(
    State(city): State<Arc<City>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let language = Language::of(&headers);
    let asked = form_of(&headers, &bytes)?;
    let (name, password) = (asked.find("name").unwrap_or_default(), asked.find("password").unwrap_or_default());
    let from = peer.map(|Extension(Peer(address))| address.ip());
    match begin_session(&city, &tenant(asked.find("tenant"))?, name, password, from).await {
        Ok(secret) => signed_in(&city, &secret, wanted(asked.find("next"))),
        Err(problem) => {
            let wrong = match problem.status {
                StatusCode::UNAUTHORIZED => language
                    .say("The name or the password is not right.", "アカウント名またはパスワードが正しくありません。"),
                StatusCode::TOO_MANY_REQUESTS => language.say(
                    "There were too many attempts. Wait a while and try again.",
                    "試行回数が多すぎます。しばらくしてからもう一度お試しください。",
                ),
                _ => return Err(problem),
            };
            Ok(sign_in_form(language, &asked, Some(wrong)).answer(problem.status, language))
        }
    }
}

fn signed_in(city: &City, secret: &str, next: &str) -> Result<Response, Problem> {
    let next = HeaderValue::from_str(next).map_err(|error| Problem::internal("SRV-006", &error))?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, next), (SET_COOKIE, cookie(city, secret)?)]).into_response())
}

async fn submit_sign_out(State(city): State<Arc<City>>, headers: HeaderMap) -> Result<Response, Problem> {
    end_session(&city, &headers)?;
    let next = HeaderValue::from_static("/login");
    Ok((StatusCode::SEE_OTHER, [(LOCATION, next), (SET_COOKIE, no_cookie(&city)?)]).into_response())
}

fn welcome_form(language: Language, asked: &Parameters, wrong: Option<String>) -> Form {
    let find = |name| asked.find(name).unwrap_or_default();
    let mut fields = vec![name_field(language, find("name"))];
    fields.extend(new_password(language));
    fields.extend(
        ["code", "tenant"].into_iter().filter(|name| !find(name).is_empty()).map(|name| hidden(name, find(name))),
    );
    Form {
        title: language.say("Welcome", "ようこそ"),
        wrong,
        text: language.say(
            "Choose a password for your account. A few words in a row are easy to remember and hard to guess.",
            "アカウントのパスワードを決めてください。いくつかの言葉を並べると、覚えやすく推測されにくくなります。",
        ),
        action: "/welcome",
        fields,
        button: language.say("Choose it and sign in", "設定してサインイン"),
    }
}

async fn show_welcome(headers: HeaderMap, asked: Parameters) -> Result<Response, Problem> {
    asked.only(&["name", "code", "tenant"])?;
    let language = Language::of(&headers);
    Ok(welcome_form(language, &asked, None).answer(StatusCode::OK, language))
}

async fn submit_welcome(
    State(city): State<Arc<City>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let language = Language::of(&headers);
    let asked = form_of(&headers, &bytes)?;
    let find = |name| asked.find(name).unwrap_or_default();
    let tenant = tenant(asked.find("tenant"))?;
    let again = |wrong: String| welcome_form(language, &asked, Some(wrong)).answer(StatusCode::BAD_REQUEST, language);
    let known = city.trust.account(&tenant, find("name"));
    let Some(known) = known.filter(|known| known.stored.invites(find("code"), city.now())) else {
        return Ok(again(language.say(
            "This invitation is not good any more: it was taken up, or it is older than a week. Ask for a new one.",
            "この招待は使用済みか、発行から一週間を過ぎています。新しい招待を依頼してください。",
        )));
    };
    let mut stored = known.stored.clone();
    match chosen(&city, language, &asked, find("name"), &mut stored).await? {
        Some(wrong) => return Ok(again(wrong)),
        None => {
            let permit = city.trust.keeping_own_account(&tenant, find("name"), city.now());
            keep(&city, &permit, find("name"), &stored, false).await?;
        }
    }
    let from = peer.map(|Extension(Peer(address))| address.ip());
    signed_in(&city, &begin_session(&city, &tenant, find("name"), find("password"), from).await?, "/")
}

/// Puts the password that was chosen into the account; or says what is wrong with it.
async fn chosen(
    city: &Arc<City>,
    language: Language,
    asked: &Parameters,
    name: &str,
    stored: &mut city_trust::people::account::StoredAccount,
) -> Result<Option<String>, Problem> {
    let (password, again) = (asked.find("password").unwrap_or_default(), asked.find("again").unwrap_or_default());
    if password != again {
        return Ok(Some(language.say("The two passwords are not the same.", "二つのパスワードが一致しません。")));
    }
    let (mut draft, name, password) = (stored.clone(), name.to_owned(), password.to_owned());
    let draft = hashing(city, move || draft.choose(&name, &password).map(|()| draft)).await?;
    match draft {
        Ok(draft) => {
            *stored = draft;
            Ok(None)
        }
        Err(why @ AccountError::Length) => {
            Ok(Some(language.say(&why.to_string(), "パスワードは 12 文字以上、256 バイト以下にしてください。")))
        }
        Err(why @ AccountError::Guessable) => {
            Ok(Some(language.say(&why.to_string(), "推測されやすいパスワードです。別のものにしてください。")))
        }
        Err(why) => Err(city_trust::Error::from(why).into()),
    }
}

fn first_run_form(language: Language, asked: &Parameters, wrong: Option<String>) -> Form {
    let find = |name| asked.find(name).unwrap_or_default();
    let mut fields = vec![name_field(language, find("name"))];
    fields.extend(new_password(language));
    fields.push(hidden("code", find("code")));
    Form {
        title: language.say("The first administrator", "最初の管理者"),
        wrong,
        text: language.say(
            "Nobody is known to this city yet. Make the account of its first administrator: a name in lower-case letters and digits, and a password.",
            "この都市 OS にはまだ利用者がいません。最初の管理者のアカウント（半角小文字と数字の名前、パスワード）を作成してください。",
        ),
        action: "/first-run",
        fields,
        button: language.say("Make the account", "作成する"),
    }
}

fn no_first_run(language: Language) -> Response {
    let form = Form {
        title: language.say("This link is not good any more", "このリンクは無効です"),
        wrong: None,
        text: language.say(
            "It is good once, while nobody is known to this city and the server that printed it runs. Sign in, or look at the server's start message.",
            "このリンクは、利用者が一人もいない間、表示したサーバーの稼働中に一度だけ有効です。サインインするか、サーバーの起動メッセージを確認してください。",
        ),
        action: "",
        fields: Vec::new(),
        button: String::new(),
    };
    form.answer(StatusCode::FORBIDDEN, language)
}

async fn show_first_run(
    State(city): State<Arc<City>>,
    headers: HeaderMap,
    asked: Parameters,
) -> Result<Response, Problem> {
    asked.only(&["code"])?;
    let language = Language::of(&headers);
    if city.trust.first_run(asked.find("code").unwrap_or_default(), city.now()).is_none() {
        return Ok(no_first_run(language));
    }
    Ok(first_run_form(language, &asked, None).answer(StatusCode::OK, language))
}

async fn submit_first_run(
    State(city): State<Arc<City>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    WholeBody(bytes): WholeBody,
) -> Result<Response, Problem> {
    let language = Language::of(&headers);
    let asked = form_of(&headers, &bytes)?;
    let find = |name| asked.find(name).unwrap_or_default();
    let again = |wrong: String| first_run_form(language, &asked, Some(wrong)).answer(StatusCode::BAD_REQUEST, language);
    let now = city.now();
    let Some(permit) = city.trust.first_run(find("code"), now) else { return Ok(no_first_run(language)) };
    if !is_name(find("name")) {
        let japanese = "名前は半角小文字・数字・記号（. - _ @）で 1〜64 文字です。";
        return Ok(again(language.say(&AccountError::Name.to_string(), japanese)));
    }
    let request = AccountRequest {
        label: find("name").to_owned(),
        roles: vec![Role::Administrator],
        organisation: None,
        purposes: Vec::new(),
        ends_at: None,
    };
    let (mut stored, _) = request.make(permit.who(), now).map_err(city_trust::Error::from)?;
    if let Some(wrong) = chosen(&city, language, &asked, find("name"), &mut stored).await? {
        return Ok(again(wrong));
    }
    // Only one can be the first: meanwhile somebody may have become known.
    let Some(permit) = city.trust.first_run(find("code"), now) else { return Ok(no_first_run(language)) };
    keep(&city, &permit, find("name"), &stored, true).await?;
    let from = peer.map(|Extension(Peer(address))| address.ip());
    let tenant = TenantName::default_tenant();
    signed_in(&city, &begin_session(&city, &tenant, find("name"), find("password"), from).await?, "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_shown_as_text() {
        let form = Form {
            title: "<script>".into(),
            wrong: Some("\"&'".into()),
            text: String::new(),
            action: "/login",
            fields: vec![hidden("next", "\"><script>alert(1)</script>")],
            button: "go".into(),
        };
        let page = form.render(Language::English);
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;") && page.contains("&quot;&amp;&#39;"));
    }

    #[test]
    fn one_is_led_to_pages_of_this_server_alone() {
        for next in ["/console/ops?x=1", "/"] {
            assert_eq!(wanted(Some(next)), next);
        }
        for next in
            ["//evil.example", "/\\evil.example", "https://evil.example", "console", "/a\r\nSet-Cookie: x", "/ x"]
        {
            assert_eq!(wanted(Some(next)), "/", "{next}");
        }
        assert_eq!(wanted(None), "/");
    }

    #[test]
    fn the_language_is_the_first_that_is_known() {
        let of = |value: &'static str| {
            Language::of(&[(ACCEPT_LANGUAGE, HeaderValue::from_static(value))].into_iter().collect())
        };
        assert_eq!(of("ja,en;q=0.8"), Language::Japanese);
        assert_eq!(of("fr, ja-JP;q=0.9, en"), Language::Japanese);
        assert_eq!(of("en-GB,ja"), Language::English);
        assert_eq!(Language::of(&HeaderMap::new()), Language::English);
    }
}
