//! The one list of everything that can be asked of the server.
//!
//! Operations come in; a router that knows exactly these goes out. Nothing can be routed that is
//! not in the list, so a test or a page that walks the list has seen every door.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};

use crate::problem::{Kind, Problem};

/// What an operation needs a permit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Read,
    Write,
    /// Makes or changes subscriptions, registrations and contexts, or looks at them.
    Define,
    /// Makes or changes what says who may, or looks at it.
    Administer,
    /// Looks at what was done, by whom.
    Audit,
    /// Looks after the tenant.
    Operate,
    /// Decides what was suggested.
    Decide,
    /// Looks after the whole server.
    Host,
    /// Needs to know who asks; what they may is asked further in.
    Known,
    /// Needs no permit, shows nothing of any tenant, and is answered also under overload: probes.
    Open,
}

pub type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// One thing that can be asked.
#[derive(Clone)]
pub struct Operation<S> {
    /// The standard's door: `ngsi-ld`, `probes`.
    pub door: &'static str,
    /// Where the standard describes it.
    pub clause: &'static str,
    /// The standard's own name of the operation: `create_entity`.
    pub name: &'static str,
    pub method: Method,
    /// `/ngsi-ld/v1/entities/{entityId}`
    pub path: &'static str,
    pub effect: Effect,
    handler: Arc<dyn Fn(Request, S) -> Answering + Send + Sync>,
}

/// Which operation answered; the frame finds it in the response's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    pub door: &'static str,
    pub name: &'static str,
}

impl<S: Clone + Send + Sync + 'static> Operation<S> {
    /// The handler is any axum handler: `async fn(State<S>, PathParameters, Parameters, WholeBody) -> Result<Response, Problem>`.
    pub fn new<H, T>(
        door: &'static str,
        clause: &'static str,
        name: &'static str,
        method: Method,
        path: &'static str,
        effect: Effect,
        handler: H,
    ) -> Self
    where
        H: Handler<T, S> + Sync,
        T: 'static,
    {
        let handler = Arc::new(move |request, state| Box::pin(handler.clone().call(request, state)) as Answering);
        Self { door, clause, name, method, path, effect, handler }
    }

    #[must_use]
    pub fn answered(&self) -> Answered {
        Answered { door: self.door, name: self.name }
    }

    /// Answers a request whose path has been matched.
    pub fn call(&self, request: Request, state: S) -> Answering {
        (self.handler)(request, state)
    }
}

impl<S> std::fmt::Debug for Operation<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({} {}, {}, {:?})", self.method, self.path, self.door, self.name, self.clause, self.effect)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{method} {path} is in the list of operations twice.")]
    Twice { method: Method, path: &'static str },
    #[error("{method} is not a method that an operation can have ({path}).")]
    Method { method: Method, path: &'static str },
}

/// Decides about a request that has found its operation: may run it, or answer in its place.
pub(crate) type Guard<S> = Arc<dyn Fn(Operation<S>, Request, S) -> Answering + Send + Sync>;

/// The router of exactly these operations. Unknown paths are answered 404, other methods 405.
///
/// # Panics
///
/// When two paths contradict each other (`/a/{b}` and `/a/{c}`); the list is fixed, so its first test finds it.
pub(crate) fn router<S>(operations: &[Operation<S>], state: S, guard: &Guard<S>) -> Result<Router, Error>
where
    S: Clone + Send + Sync + 'static,
{
    let mut paths: BTreeMap<&'static str, Vec<&Operation<S>>> = BTreeMap::new();
    for operation in operations {
        let (method, path) = (operation.method.clone(), operation.path);
        let same_path = paths.entry(path).or_default();
        if same_path.iter().any(|other| other.method == method) {
            return Err(Error::Twice { method, path });
        }
        same_path.push(operation);
    }
    let mut router = Router::new();
    for (path, operations) in paths {
        let mut methods = MethodRouter::new();
        for operation in &operations {
            let filter = MethodFilter::try_from(operation.method.clone())
                .map_err(|_| Error::Method { method: operation.method.clone(), path })?;
            let (operation, guard) = ((*operation).clone(), Arc::clone(guard));
            methods = methods.merge(on(filter, async move |State(state): State<S>, request: Request| {
                let answered = operation.answered();
                let mut response = guard(operation, request, state).await;
                response.extensions_mut().insert(answered);
                response
            }));
        }
        let allowed = allowed(&operations);
        let methods = methods.fallback(async move |method: Method| other_method(&method, &allowed));
        // CIM 009 table 6.1-1 writes collections with a slash at the end; both forms are one resource.
        if !path.ends_with('/') && !path.contains("{*") {
            router = router.route(&format!("{path}/"), methods.clone());
        }
        router = router.route(path, methods);
    }
    Ok(router.fallback(unknown_path).with_state(state))
}

fn allowed<S>(operations: &[&Operation<S>]) -> String {
    let mut methods: Vec<&str> = operations.iter().map(|operation| operation.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods.sort_unstable();
    methods.join(", ")
}

fn other_method(method: &Method, allowed: &str) -> Response {
    let allow = HeaderValue::from_str(allowed).unwrap_or(HeaderValue::from_static(""));
    if method == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, [(ALLOW, allow)]).into_response();
    }
    let detail = format!("{method} is not possible on this path; possible are {allowed}.");
    Problem::plain(StatusCode::METHOD_NOT_ALLOWED, "SRV-002", detail).header(ALLOW, allow).into_response()
}

async fn unknown_path(request: Request) -> Problem {
    let detail =
        format!("Nothing answers at {}. Check the path; the NGSI-LD API is at /ngsi-ld/v1.", request.uri().path());
    Problem::new(Kind::ResourceNotFound, "SRV-001", detail)
}
