//! Puts the rooms together: a folder and a clock come in, a city with all its followers goes out.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use city_action::Action;
use city_action::control::{self, Control};
use city_context::{Context, OpenReport, definitions_of};
use city_history::{History, Policy as Retention};
use city_ingest::source::Sources;
use city_ingest::timetables::Timetables;
use city_insight::{Insight, NotTaken};
use city_model::{DefinitionKind, EntityId, Hand, Mint, Permit, PermitSource, Proposal};
use city_ngsi_ld::{ContextDocument, ContextStore};
use city_outbound::{Outbound, Policy};
use city_serve::City;
use city_serve::city::{Learning, Readers};
use city_serve::sources::Resolver;
use city_serve::stream::Streams;
use city_sql::Sql;
use city_store::journal::Limits;
use city_store::persons::PERSON_KEYS;
use city_store::{Clock, DiskWatch, Folder, FolderDisk, PersonKeys, View};
use city_trust::trail::Trail;
use city_trust::trail::note::Signer;
use city_trust::{Gate, OPERATOR_PREFIX, Trust};

/// An open city. What it holds is closed in the order of the fields: the lock goes last.
pub struct OpenCity {
    pub city: Arc<City>,
    pub report: OpenReport,
    /// The code that makes the first administrator, where nobody is known yet.
    pub first_run: Option<String>,
    _folder: Folder,
}

/// Whether those who ask must say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Auth {
    On,
    Off,
}

/// The file in `keys/` with the local operator's token.
pub const OPERATOR_TOKEN: &str = "operator.token";
/// The file in `keys/` that signs the trail.
const TRAIL_KEY: &str = "trail.key";

pub struct Settings {
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// How long the past is kept, and how exactly.
    pub retention: Retention,
    pub outbound: Policy,
    pub auth: Auth,
    /// Whether browsers reach it by TLS, here or at a proxy in front.
    pub is_secure: bool,
    /// `URL=FILE`: contexts that are known without asking the network.
    pub contexts: Vec<String>,
}

/// Must be called on a runtime: deliveries run there.
pub fn open(path: &Path, settings: Settings) -> Result<OpenCity> {
    let folder = Folder::open(path)?;
    let journal = folder.journal_path();
    let disk = FolderDisk::new(&journal).with_context(|| format!("The folder {} cannot be made", journal.display()))?;
    let view = Arc::new(open_view(&folder)?);
    let clock = settings.clock;
    let keys = Arc::new(PersonKeys::open(&folder.key_path(PERSON_KEYS))?);
    let (context, report) =
        Context::open(Arc::new(disk), Arc::clone(&view), keys, Arc::clone(&clock), settings.limits)?;
    let context = Arc::new(context);
    if let Some((file, offset, bytes)) = &report.journal.cut {
        tracing::warn!(file, offset, bytes, "a torn end of the journal was cut; nothing acknowledged was in it");
    }
    let contexts = Arc::new(load_contexts(&settings.contexts)?);
    let outbound = Outbound::new(settings.outbound);
    let watch = DiskWatch::open(Arc::clone(&view), context.journal().clone(), settings.limits.reserve_bytes)?;
    let history =
        Arc::new(History::start(Arc::clone(&view), context.journal().clone(), Arc::clone(&clock), settings.retention)?);
    let mint = Mint::take().context("This process has opened a city before")?;
    let (trust, first_run) = open_trust(mint, settings.auth, &folder, &context)?;
    let trust = Arc::new(trust);
    let trail = open_trail(&folder, &view, &context)?;
    let permits = Arc::clone(&trust) as Arc<dyn PermitSource>;
    context.heed(Arc::clone(&permits));
    let action = Action::start(Arc::clone(&context), Arc::clone(&contexts), outbound.clone(), Arc::clone(&permits))?;
    let hand = Hand::take().context("This process has opened a city before")?;
    let control = Control::start(Arc::clone(&context), outbound.clone(), Arc::clone(&permits), hand)?;
    let insight =
        Insight::start(Arc::clone(&context), Arc::clone(&history), permits, Arc::new(OnDesk(Arc::clone(&control))))?;
    let resolver = Resolver { contexts: Arc::clone(&contexts), outbound: outbound.clone() };
    let asked = Arc::clone(&trust) as Arc<dyn PermitSource>;
    let sources = Sources::start(Arc::clone(&context), asked, Arc::new(resolver), outbound.clone());
    let timetables = Timetables::new(Arc::clone(&context));
    let journal_reader = context.journal().clone();
    let city = City {
        insight,
        control,
        action,
        sql: Sql::new(Arc::clone(&context), Arc::clone(&history)),
        history,
        context,
        trust,
        trail,
        learning: Learning::default(),
        contexts,
        outbound,
        clock,
        disk: watch,
        readers: Readers::default(),
        messages: city_serve::mqtt::Messages::default(),
        sources,
        timetables,
        streams: Streams::start(journal_reader).context("The thread for streams cannot be started")?,
        is_secure: settings.is_secure,
    };
    Ok(OpenCity { city: Arc::new(city), report, first_run, _folder: folder })
}

/// What rules propose lies on the desk of those who decide.
struct OnDesk(Arc<Control>);

impl city_insight::Desk for OnDesk {
    fn has_begun(&self, tenant: u32, rule: &str, about: &EntityId, seq: u64) -> bool {
        self.0.has_begun(tenant, rule, about, seq)
    }

    fn suggest(&self, permit: &Permit, proposal: &Proposal) -> Result<(), NotTaken> {
        self.0.suggest(permit, proposal).map(drop).map_err(not_taken)
    }

    fn end(&self, permit: &Permit, rule: &str, about: &EntityId, seq: u64) -> Result<(), NotTaken> {
        self.0.clear(permit, rule, about, seq).map_err(not_taken)
    }

    fn forget(&self, tenant: u32, rule: &str) {
        self.0.forget(tenant, rule);
    }
}

fn not_taken(error: control::Error) -> NotTaken {
    match error {
        control::Error::Context(_) | control::Error::Store(_) => NotTaken::Later(error.to_string()),
        error => NotTaken::Refused(error.to_string()),
    }
}

/// With the tokens and policies of all tenants. Where those who ask must say who they are, the local
/// operator's token of this run is left in the data folder: who can read that can read everything.
fn open_trust(mint: Mint, auth: Auth, folder: &Folder, context: &Context) -> Result<(Trust, Option<String>)> {
    let gate = match auth {
        Auth::Off => Gate::Open,
        Auth::On => {
            let secret = city_trust::random_secret()?;
            let path = folder.write_key(OPERATOR_TOKEN, format!("{OPERATOR_PREFIX}{secret}\n").as_bytes())?;
            tracing::info!(path = %path.display(), "the local operator's token of this run");
            Gate::closed(&secret)
        }
    };
    let trust = Trust::new(mint, gate);
    for space in context.tenants().list() {
        for kind in [DefinitionKind::Class, DefinitionKind::Policy, DefinitionKind::Token, DefinitionKind::Account] {
            for (id, body) in definitions_of(&space, kind) {
                trust.learn(&space.name, kind, &id, Some(&body))?;
            }
        }
    }
    let first_run = if auth == Auth::On && trust.knows_nobody() { Some(city_trust::random_secret()?) } else { None };
    if let Some(code) = &first_run {
        trust.await_first_run(code);
    }
    Ok((trust, first_run))
}

/// The trail, with the key that signs it: made once, and the same from then on.
fn open_trail(folder: &Folder, view: &Arc<View>, context: &Context) -> Result<Trail> {
    let kept = match folder.find_key(TRAIL_KEY)? {
        Some(kept) => kept,
        None => {
            let kept = Signer::generate().context("The system gives no random numbers for a key")?;
            folder.write_key(TRAIL_KEY, &kept)?;
            kept
        }
    };
    let signer = Signer::from_kept(&kept)
        .with_context(|| format!("{} is no key of this program", folder.key_path(TRAIL_KEY).display()))?;
    Ok(Trail::start(Arc::clone(view), context.journal().clone(), signer)?)
}

/// Opens the state. The engine asserts what its own files hold, and may panic once more while it gives
/// up, which would end the process without a word of ours: so its first panic refuses the start, by name.
pub fn open_view(folder: &Folder) -> Result<View> {
    let path = folder.view_path();
    let damaged = city_store::Error::Engine(format!(
        "the files in {} are damaged. Restore them, or move the folder away: it is made again from the journal, as far as that is kept.",
        path.display()
    ));
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |_| {
        eprintln!("renkei: {damaged}");
        std::process::exit(1);
    }));
    let view = View::open(&path);
    std::panic::set_hook(usual);
    Ok(view?)
}

fn load_contexts(pairs: &[String]) -> Result<ContextStore> {
    let store = ContextStore::new();
    for pair in pairs {
        let (url, file) = pair.rsplit_once('=').with_context(|| format!("--context-file {pair} is not URL=FILE"))?;
        let bytes = std::fs::read(file).with_context(|| format!("The @context file {file} cannot be read"))?;
        let document = ContextDocument::parse(&bytes).with_context(|| format!("The file {file} holds no @context"))?;
        store.pin(url, document);
    }
    Ok(store)
}
