//! Decisions: who asks and for which purpose comes in, their powers go out.
//!
//! The policy engine (Cedar) is asked with the entity left open; what it leaves to be asked of each entity
//! becomes the reach of a permit. Policies are filed by whom they name, so that those about others cost
//! nothing. A decision is kept by whoever calls, until a policy changes.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context, Decision, Effect, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId,
    PolicySet, PrincipalConstraint, Request, RestrictedExpression,
};
use city_model::condition::CONDITION_DEPTH_MAX;
use city_model::reach::{Attributes, Blur, Part, Rule};
use city_model::{Classes, Condition, DataClass, Name, Powers, Reach, Right};

use crate::principal::{Principal, Role};
use crate::residual::{ENTITY, SCOPE, TYPE, condition_of};

/// The roles' own policies.
pub const ROLES: &str = include_str!("../policies/roles.cedar");
/// Deepest brackets in a policy.
pub const DEPTH_MAX: usize = 32;
/// Most signs and words of operators in a policy; `&&` is two.
pub const OPERATORS_MAX: usize = 200;
/// Largest text of one policy.
pub const POLICY_BYTES_MAX: usize = 16 << 10;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("The policy is longer than {POLICY_BYTES_MAX} bytes.")]
    TooLong,
    #[error("The policy is nested deeper than {DEPTH_MAX} brackets, or has more than {OPERATORS_MAX} operators.")]
    TooDeep,
    #[error("The policy is not understood: {0}")]
    Syntax(String),
    #[error("The annotation @{annotation} is not understood: {why}")]
    Annotation { annotation: &'static str, why: String },
    #[error("The policy cannot be held against every entity: {0}. See the page of this error for what can.")]
    NotExpressible(String),
}

/// The policies of a tenant, filed by whom they name.
#[derive(Debug, Clone)]
pub struct Policies {
    all: BTreeMap<Box<str>, Arc<Filed>>,
    by_principal: HashMap<EntityUid, BTreeMap<Box<str>, Arc<Filed>>>,
    of_everybody: BTreeMap<Box<str>, Arc<Filed>>,
}

/// One policy with what its annotations say.
#[derive(Debug)]
pub struct Filed {
    policy: Policy,
    attributes: Attributes,
    blurred: Vec<(Name, Blur)>,
    /// Data of behaviour or persons that it opens, where a purpose is named.
    classes: Vec<DataClass>,
}

impl Default for Policies {
    fn default() -> Self {
        let mut policies = Self { all: BTreeMap::new(), by_principal: HashMap::new(), of_everybody: BTreeMap::new() };
        // They are part of the program; a test reads them.
        let roles = PolicySet::from_str(ROLES).unwrap_or_default();
        for policy in roles.policies() {
            let id: Box<str> = policy.annotation("id").unwrap_or_default().into();
            if let Ok(filed) = Filed::of(policy.new_id(PolicyId::new(&id))) {
                policies.file(id, Arc::new(filed));
            }
        }
        policies
    }
}

impl Policies {
    /// Takes in a policy in place of one with the same id.
    pub fn insert(&mut self, id: &str, text: &str) -> Result<(), PolicyError> {
        let filed = parse(id, text)?;
        self.remove(id);
        self.file(id.into(), Arc::new(filed));
        Ok(())
    }

    pub fn remove(&mut self, id: &str) {
        if self.all.remove(id).is_some() {
            self.by_principal.values_mut().for_each(|filed| drop(filed.remove(id)));
            self.by_principal.retain(|_, filed| !filed.is_empty());
            self.of_everybody.remove(id);
        }
    }

    fn file(&mut self, id: Box<str>, filed: Arc<Filed>) {
        let drawer = match filed.policy.principal_constraint() {
            PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
                self.by_principal.entry(uid).or_default()
            }
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => &mut self.of_everybody,
        };
        drawer.insert(id.clone(), Arc::clone(&filed));
        self.all.insert(id, filed);
    }

    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.all.contains_key(id)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What somebody may do, for a purpose. Data of behaviour or persons is read only where a policy says
    /// that it opens it, and a purpose is named.
    #[must_use]
    pub fn decide(&self, principal: &Principal, purpose: Option<&str>, classes: &Classes) -> Powers {
        let Some(question) = self.question(principal, purpose) else { return Powers::default() };
        let rights = [Right::Define, Right::Administer, Right::Audit, Right::Operate, Right::Decide];
        let mut discloses = Vec::new();
        let read = question.reach(Right::Read, &mut |filed, when| {
            let opened = |class: DataClass| purpose.is_some() && filed.classes.contains(&class);
            let shut = classes.iter().filter(|(_, class)| class.is_sensitive() && !opened(**class));
            let shut: Vec<Name> = shut.map(|(name, _)| name.clone()).collect();
            let attributes = filed.attributes.without(&shut);
            if filed.policy.effect() == Effect::Permit && *when != Condition::Never {
                let shown =
                    classes.iter().filter(|(name, class)| class.is_sensitive() && attributes.contain(name.as_str()));
                discloses.extend(shown.map(|(_, class)| *class));
            }
            if filed.policy.effect() == Effect::Permit { attributes } else { filed.attributes.clone() }
        });
        discloses.sort_by_key(|class| class.as_str());
        discloses.dedup();
        Powers {
            read,
            write: question.reach(Right::Write, &mut |filed, _| filed.attributes.clone()),
            rights: rights.into_iter().filter(|right| question.may(*right)).collect(),
            discloses,
        }
    }

    /// Which policies speak about somebody: the ids, for `explain`.
    #[must_use]
    pub fn about(&self, principal: &Principal) -> Vec<Box<str>> {
        self.slice(&uids(principal)).map(|(id, _)| id.clone()).collect()
    }

    fn slice(&self, uids: &[EntityUid]) -> impl Iterator<Item = (&Box<str>, &Arc<Filed>)> + use<'_> {
        let own: Vec<_> = uids.iter().filter_map(|uid| self.by_principal.get(uid)).collect();
        own.into_iter().flatten().chain(&self.of_everybody)
    }

    fn question(&self, principal: &Principal, purpose: Option<&str>) -> Option<Question<'_>> {
        let uids = uids(principal);
        let (own, groups) = uids.split_first()?;
        let mut policies = PolicySet::new();
        let mut filed = HashMap::new();
        for (id, one) in self.slice(&uids) {
            // A policy stands in one drawer, so none comes twice.
            policies.add(one.policy.clone()).ok()?;
            filed.insert(PolicyId::new(id), &**one);
        }
        let parents = groups.iter().cloned().collect();
        let entity = Entity::new(own.clone(), HashMap::new(), parents).ok()?;
        let entities = Entities::from_entities([entity], None).ok()?;
        let purpose = RestrictedExpression::new_string(purpose.unwrap_or_default().to_owned());
        let context = Context::from_pairs([("purpose".to_owned(), purpose)]).ok()?;
        let tenant = uid("Tenant", principal.tenant.as_str())?;
        Some(Question { own: own.clone(), policies, filed, entities, context, tenant })
    }
}

/// Who it is and what they belong to, as the policy language names it.
fn uids(principal: &Principal) -> Vec<EntityUid> {
    let roles = principal.roles.iter().map(|role| ("Role", role.as_str()));
    let organisation = principal.organisation.iter().map(|organisation| ("Organisation", &**organisation));
    let own = std::iter::once(("Principal", &*principal.id));
    own.chain(roles).chain(organisation).filter_map(|(kind, id)| uid(kind, id)).collect()
}

#[must_use]
pub(crate) fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    Some(EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind).ok()?, EntityId::new(id)))
}

/// One holder with one purpose, and the policies that speak about them.
struct Question<'p> {
    own: EntityUid,
    policies: PolicySet,
    filed: HashMap<PolicyId, &'p Filed>,
    entities: Entities,
    context: Context,
    tenant: EntityUid,
}

impl Question<'_> {
    /// What needs no entity: the whole tenant is what is asked about.
    fn may(&self, right: Right) -> bool {
        let Some(action) = uid("Action", right.verb()) else { return false };
        let request = Request::new(self.own.clone(), action, self.tenant.clone(), self.context.clone(), None);
        request.is_ok_and(|request| {
            Authorizer::new().is_authorized(&request, &self.policies, &self.entities).decision() == Decision::Allow
        })
    }

    /// `attributes_of` says which attributes a policy is about, given when it holds.
    fn reach(&self, right: Right, attributes_of: &mut dyn FnMut(&Filed, &Condition) -> Attributes) -> Reach {
        let Some(action) = uid("Action", right.verb()) else { return Reach::Nothing };
        let request =
            Request::builder().principal(self.own.clone()).action(action).context(self.context.clone()).build();
        let answer = Authorizer::new().is_authorized_partial(&request, &self.policies, &self.entities);
        let mut part = Part::default();
        let satisfied: Vec<Policy> = answer.definitely_satisfied().collect();
        let always = satisfied.iter().map(|policy| (policy, Condition::Always));
        let residuals: Vec<Policy> = answer.nontrivial_residuals().collect();
        let sometimes = residuals.iter().map(|policy| (policy, when_of(policy)));
        for (policy, when) in always.chain(sometimes) {
            let Some(filed) = self.filed.get(policy.id()) else { continue };
            let (attributes, blurred) = (attributes_of(filed, &when), filed.blurred.clone());
            match (filed.policy.effect(), when) {
                (_, Condition::Never) => {}
                (Effect::Permit, when) => add(&mut part.grants, Rule { when, attributes, blurred }),
                (Effect::Forbid, when) => add(&mut part.forbids, Rule { when, attributes, blurred: Vec::new() }),
            }
        }
        reach_of(part)
    }
}

/// Fails closed: of what cannot be said as a condition, a permission never holds and a prohibition always.
fn when_of(policy: &Policy) -> Condition {
    let condition = policy.to_json().map_err(|error| error.to_string());
    match condition.and_then(|json| condition_of(&json).map_err(|error| error.to_string())) {
        Ok(condition) => condition,
        Err(why) => {
            tracing::warn!(policy = %policy.id(), why, "a policy cannot be held against entities, so it fails closed");
            match policy.effect() {
                Effect::Permit => Condition::Never,
                Effect::Forbid => Condition::Always,
            }
        }
    }
}

/// Rules about the same attributes become one, where none of them can end in an error: in one condition an
/// error on the left would end what stands on the right, in two policies it does not.
fn add(rules: &mut Vec<Rule>, rule: Rule) {
    let alike =
        |own: &&mut Rule| own.attributes == rule.attributes && own.blurred == rule.blurred && own.when.is_of_identity();
    match rules.iter_mut().find(alike).filter(|_| rule.when.is_of_identity()) {
        None => rules.push(rule),
        Some(own) => match (&mut own.when, rule.when) {
            (Condition::Always, _) => {}
            (when, Condition::Always) => *when = Condition::Always,
            (Condition::Any(any), other) => any.push(other),
            (when, other) => *when = Condition::Any(vec![std::mem::replace(when, Condition::Never), other]),
        },
    }
}

fn reach_of(part: Part) -> Reach {
    let forbidden =
        part.forbids.iter().any(|rule| rule.when == Condition::Always && rule.attributes == Attributes::All);
    if part.grants.is_empty() || forbidden {
        return Reach::Nothing;
    }
    let all =
        |rule: &Rule| rule.when == Condition::Always && rule.attributes == Attributes::All && rule.blurred.is_empty();
    if part.forbids.is_empty() && part.grants.iter().any(all) {
        return Reach::Everything;
    }
    Reach::Part(Arc::new(part))
}

/// What stands outside of quotes: names and texts hold any sign and are no levels.
fn unquoted(text: &str) -> impl Iterator<Item = char> {
    let (mut quoted, mut escaped) = (false, false);
    text.chars().filter(move |sign| {
        let own = quoted;
        match (quoted, escaped, sign) {
            (true, true, _) => escaped = false,
            (true, false, '\\') => escaped = true,
            (_, false, '"') => quoted = !quoted,
            _ => {}
        }
        !own
    })
}

/// How deep the brackets go.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for sign in unquoted(text) {
        match sign {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Signs and words that may each be a level that the engine goes down.
fn operators(text: &str) -> usize {
    let code: String = unquoted(text).collect();
    let signs = code.chars().filter(|sign| "!-+*&|<>=.".contains(*sign)).count();
    let words = ["if", "in", "has", "like", "is", "contains"];
    signs + code.split(|sign: char| !sign.is_alphanumeric()).filter(|word| words.contains(word)).count()
}

/// A policy that can be held against every entity; its text is one statement of the policy language.
pub fn parse(id: &str, text: &str) -> Result<Filed, PolicyError> {
    if text.len() > POLICY_BYTES_MAX {
        return Err(PolicyError::TooLong);
    }
    if depth(text) > DEPTH_MAX || operators(text) > OPERATORS_MAX {
        return Err(PolicyError::TooDeep);
    }
    let policy = Policy::parse(Some(PolicyId::new(id)), text).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
        PolicyError::Syntax(all.join("; "))
    })?;
    let filed = Filed::of(policy)?;
    // Who asks and for which purpose is still open here; what is asked of the entity must be expressible.
    let json = filed.policy.to_json().map_err(|error| PolicyError::Syntax(error.to_string()))?;
    known_names(&json).map_err(PolicyError::Syntax)?;
    for condition in json["conditions"].as_array().into_iter().flatten() {
        expressible(&condition["body"], 0).map_err(PolicyError::NotExpressible)?;
    }
    Ok(filed)
}

/// Names that mean nothing here are slips of the pen: a policy with one would never hold, or not as meant.
fn known_names(json: &serde_json::Value) -> Result<(), String> {
    const KINDS: [&str; 7] = ["Principal", "Role", "Organisation", TYPE, SCOPE, ENTITY, "Tenant"];
    const ACTIONS: [&str; 7] = ["read", "write", "subscribe", "administer", "audit", "operate", "decide"];
    match json {
        serde_json::Value::Object(members) => {
            if let (Some(kind), Some(id), 2) = (json["type"].as_str(), json["id"].as_str(), members.len()) {
                return match kind {
                    "Action" if ACTIONS.contains(&id) => Ok(()),
                    "Action" => Err(format!("there is no Action::\"{id}\"; there are {}", ACTIONS.join(", "))),
                    "Role" if Role::parse(id).is_none() => {
                        Err(format!("there is no Role::\"{id}\"; there are {}", Role::ALL.map(Role::as_str).join(", ")))
                    }
                    kind if KINDS.contains(&kind) => Ok(()),
                    kind => Err(format!("there is no {kind}::\"…\"; there are Action, {}", KINDS.join(", "))),
                };
            }
            members.values().try_for_each(known_names)
        }
        serde_json::Value::Array(items) => items.iter().try_for_each(known_names),
        _ => Ok(()),
    }
}

/// Whether every part of an expression that asks for the resource has a form that a condition can have.
fn expressible(body: &serde_json::Value, level: usize) -> Result<(), String> {
    const UNKNOWN: [&str; 8] = ["containsAll", "containsAny", "isEmpty", "+", "-", "*", "hasTag", "getTag"];
    // An operator is one level, its operands the next.
    if level > 2 * (CONDITION_DEPTH_MAX - 4) {
        return Err(format!("more than {} parts hang together; write several policies", CONDITION_DEPTH_MAX - 4));
    }
    match body {
        serde_json::Value::Object(members) => {
            for (op, operands) in members {
                if UNKNOWN.contains(&op.as_str()) && operands.to_string().contains("\"resource\"") {
                    return Err(format!("`{op}` cannot be asked of entities here"));
                }
                expressible(operands, level + 1)?;
            }
            Ok(())
        }
        serde_json::Value::Array(items) => items.iter().try_for_each(|item| expressible(item, level + 1)),
        _ => Ok(()),
    }
}

impl Filed {
    fn of(policy: Policy) -> Result<Self, PolicyError> {
        let names =
            |annotation: &'static str| policy.annotation(annotation).map(|text| names(annotation, text)).transpose();
        let attributes = match (names("attributes")?, names("except")?) {
            (Some(_), Some(_)) => {
                let why = "it stands beside @attributes; one of them is enough".to_owned();
                return Err(PolicyError::Annotation { annotation: "except", why });
            }
            (Some(names), None) => Attributes::Only(names.into()),
            (None, Some(names)) => Attributes::AllBut(names.into()),
            (None, None) => Attributes::All,
        };
        let mut blurred = Vec::new();
        let blurs: [(&'static str, fn(f64) -> Blur); 2] =
            [("round", |step| Blur::Round { step }), ("coarsen", |metres| Blur::Coarsen { metres })];
        for (annotation, blur) in blurs {
            for (name, number) in
                policy.annotation(annotation).map(|text| amounts(annotation, text)).transpose()?.into_iter().flatten()
            {
                blurred.push((name, blur(number)));
            }
        }
        if policy.effect() == Effect::Forbid && !blurred.is_empty() {
            let why = "what is forbidden is not shown at all".to_owned();
            return Err(PolicyError::Annotation { annotation: "round", why });
        }
        let mut classes = Vec::new();
        for word in policy.annotation("classes").unwrap_or_default().split_whitespace() {
            let class = DataClass::parse(word).filter(|class| class.is_sensitive()).ok_or_else(|| {
                let why = format!("{word} is neither behaviour nor personal");
                PolicyError::Annotation { annotation: "classes", why }
            })?;
            classes.push(class);
        }
        Ok(Self { policy, attributes, blurred, classes })
    }
}

/// Names, with spaces between them: a name may hold a comma, never a space.
fn names(annotation: &'static str, text: &str) -> Result<Vec<Name>, PolicyError> {
    let wrong = |why: String| PolicyError::Annotation { annotation, why };
    let names: Vec<Name> =
        text.split_whitespace().map(Name::parse).collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if names.is_empty() { Err(wrong("it names no attribute".to_owned())) } else { Ok(names) }
}

/// `name=0.5 name=500`
fn amounts(annotation: &'static str, text: &str) -> Result<Vec<(Name, f64)>, PolicyError> {
    let wrong = |why: String| PolicyError::Annotation { annotation, why };
    let one = |word: &str| {
        let (name, number) = word.rsplit_once('=').ok_or_else(|| wrong(format!("{word} is not NAME=NUMBER")))?;
        let number: f64 = number.parse().map_err(|_| wrong(format!("{number} is no number")))?;
        if !(number.is_finite() && number > 0.0) {
            return Err(wrong(format!("{number} is not above zero")));
        }
        Ok((Name::parse(name).map_err(|error| wrong(error.to_string()))?, number))
    };
    text.split_whitespace().map(one).collect()
}
