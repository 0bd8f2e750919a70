//! What is decided, and whether what is pushed into queries is what the policy engine would say of each entity.
#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity as CedarEntity, EntityId as Uid, EntityTypeName, EntityUid,
    PolicySet, Request, RestrictedExpression,
};
use city_model::Classes;
use city_model::condition::plain;
use city_model::{Attribute, Entity, EntityId, Instance, Kind, Name, Reach, Right, Scope, TenantName, Value};
use city_trust::decide::{Policies, ROLES, parse};
use city_trust::{Principal, Role};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn principal(roles: &[Role], organisation: Option<&str>) -> Principal {
    Principal {
        id: "token:1".into(),
        tenant: TenantName::default_tenant(),
        roles: roles.to_vec(),
        organisation: organisation.map(Arc::from),
        purposes: Vec::new(),
    }
}

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind).unwrap(), Uid::new(id))
}

fn expression(value: &Value) -> RestrictedExpression {
    match value {
        Value::Text(text) => RestrictedExpression::new_string(text.to_string()),
        Value::Int(int) => RestrictedExpression::new_long(*int),
        Value::Bool(flag) => RestrictedExpression::new_bool(*flag),
        Value::List(items) => RestrictedExpression::new_set(items.iter().map(expression)),
        _ => unreachable!("only plain values are asked of"),
    }
}

/// An entity as the policy engine sees it: types and scopes are what it is in, attributes its plain values.
fn as_cedar(entity: &Entity) -> Vec<CedarEntity> {
    let mut parents: HashSet<EntityUid> = entity.types.iter().map(|name| uid("Type", name.as_str())).collect();
    for scope in &entity.scopes {
        let levels: Vec<&str> = scope.as_str().trim_start_matches('/').split('/').collect();
        parents.extend((1..=levels.len()).map(|to| uid("Scope", &format!("/{}", levels[..to].join("/")))));
    }
    let mut attributes: HashMap<String, RestrictedExpression> = HashMap::new();
    attributes.insert("id".to_owned(), RestrictedExpression::new_string(entity.id.as_str().to_owned()));
    for attribute in &entity.attributes {
        if let Some(value) = attribute.find(None).and_then(plain) {
            attributes.insert(attribute.name.as_str().to_owned(), expression(value));
        }
    }
    vec![CedarEntity::new(uid("Entity", entity.id.as_str()), attributes, parents).unwrap()]
}

/// What the engine says of one entity, asked in full.
fn full(policies: &PolicySet, who: &Principal, right: Right, purpose: &str, entity: &Entity) -> bool {
    let own = uid("Principal", &who.id);
    let roles = who.roles.iter().map(|role| uid("Role", role.as_str()));
    let parents = roles.chain(who.organisation.iter().map(|organisation| uid("Organisation", organisation))).collect();
    let mut entities = as_cedar(entity);
    entities.push(CedarEntity::new(own.clone(), HashMap::new(), parents).unwrap());
    let entities = Entities::from_entities(entities, None).unwrap();
    let purpose = RestrictedExpression::new_string(purpose.to_owned());
    let context = Context::from_pairs([("purpose".to_owned(), purpose)]).unwrap();
    let resource = uid("Entity", entity.id.as_str());
    let request = Request::new(own, uid("Action", right.verb()), resource, context, None).unwrap();
    Authorizer::new().is_authorized(&request, policies, &entities).decision() == Decision::Allow
}

fn entity(id: &str, types: &[&str], scopes: &[&str], attributes: &[(&str, Value)]) -> Entity {
    let names = types.iter().map(|text| Name::parse(text).unwrap()).collect();
    let mut entity = Entity::new(EntityId::parse(id).unwrap(), names);
    entity.scopes = scopes.iter().map(|text| Scope::parse(text).unwrap()).collect();
    for (name, value) in attributes {
        let instance = Instance::new(Kind::Property(value.clone()));
        entity.attributes.push(Attribute::new(Name::parse(name).unwrap(), instance));
    }
    entity
}

#[test]
fn roles_may_what_their_page_says() {
    let policies = Policies::default();
    assert_eq!(policies.len(), PolicySet::from_str(ROLES).unwrap().policies().count(), "every one of them is taken in");
    let powers = |role| policies.decide(&principal(&[role], None), None, &Classes::new());
    let administrator = powers(Role::Administrator);
    assert_eq!((administrator.read, administrator.write), (Reach::Everything, Reach::Everything));
    assert_eq!(administrator.rights, [Right::Define, Right::Administer, Right::Audit, Right::Operate, Right::Decide]);
    let operator = powers(Role::Operator);
    assert!(operator.have(Right::Write) && operator.have(Right::Operate) && !operator.have(Right::Administer));
    assert!(powers(Role::Approver).have(Right::Read) && !powers(Role::Approver).have(Right::Write));
    assert_eq!((powers(Role::Developer).read, powers(Role::Developer).rights), (Reach::Nothing, vec![Right::Define]));
    assert_eq!(powers(Role::Auditor).rights, [Right::Audit]);
    assert_eq!((powers(Role::Device).read, powers(Role::Device).write), (Reach::Nothing, Reach::Everything));
    assert!(powers(Role::Public).are_none());
    assert!(
        !policies.decide(&principal(&Role::ALL, None), None, &Classes::new()).have(Right::Host),
        "no policy gives what is all tenants'"
    );
}

#[test]
fn a_purpose_opens_what_it_is_for_and_nothing_else() {
    let mut policies = Policies::default();
    let words = r#"permit (principal in Organisation::"bus-company", action == Action::"read", resource)
        when { resource in Type::"BusStop" && ["operation"].contains(context.purpose) };"#;
    policies.insert("stops", words).unwrap();
    let company = principal(&[Role::Developer], Some("bus-company"));
    let read = |who: &Principal, purpose| policies.decide(who, purpose, &Classes::new()).read;
    assert_eq!(read(&company, None), Reach::Nothing);
    assert_eq!(read(&company, Some("advertising")), Reach::Nothing);
    assert_eq!(read(&principal(&[Role::Developer], Some("other")), Some("operation")), Reach::Nothing);
    let reach = read(&company, Some("operation"));
    assert!(reach.sight(&entity("urn:s:1", &["BusStop"], &[], &[])).is_some());
    assert!(reach.sight(&entity("urn:d:1", &["Depot"], &[], &[])).is_none());
    policies.remove("stops");
    assert_eq!(policies.decide(&company, Some("operation"), &Classes::new()).read, Reach::Nothing);
}

#[test]
fn policies_about_others_are_not_asked() {
    let mut policies = Policies::default();
    for other in 0..1_000 {
        let text = format!(r#"permit (principal in Organisation::"o{other}", action == Action::"read", resource);"#);
        policies.insert(&format!("p{other}"), &text).unwrap();
    }
    let about = policies.about(&principal(&[Role::Developer], Some("o7")));
    assert_eq!(about.iter().map(|id| &**id).collect::<Vec<_>>(), ["role-developer", "p7"]);
}

#[test]
fn what_cannot_be_held_against_entities_is_refused_when_it_is_added() {
    for (text, why) in [
        ("permit (principal, action, resource) when { resource[\"a\"].containsAll([1]) };", "containsAll"),
        ("permit (principal, action, resource) when { resource[\"a\"] + 1 == 2 };", "`+`"),
        (
            &format!(
                "permit (principal, action, resource) when {{ {}1{} == [] }};",
                "[".repeat(3_000),
                "]".repeat(3_000)
            ),
            "nested deeper",
        ),
        (&format!("permit (principal, action, resource) when {{ {}true }};", "!".repeat(3_000)), "more than"),
        (
            &format!("permit (principal, action, resource) when {{ true{} }};", " && resource.a".repeat(66)),
            "hang together",
        ),
        ("permit (principal, action == Action::\"wrte\", resource);", "no Action"),
        ("permit (principal in Role::\"developr\", action, resource);", "no Role"),
        ("permit (principal, action, resource) when { resource in Typ::\"x\" };", "no Typ::"),
        ("permit (principal, action, resource", "not understood"),
        ("@round(\"a\") permit (principal, action, resource);", "NAME=NUMBER"),
        ("@coarsen(\"a=0\") permit (principal, action, resource);", "above zero"),
        ("@attributes(\" \") permit (principal, action, resource);", "no attribute"),
        ("@attributes(\"a\") @except(\"b\") permit (principal, action, resource);", "one of them"),
        ("@round(\"a=1\") forbid (principal, action, resource);", "not shown at all"),
    ] {
        let error = parse("p", text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

/// Conditions of random shape over a few names, types and scopes, so that entities often meet them.
fn conditions() -> impl Strategy<Value = String> {
    let attribute = prop::sample::select(vec!["a", "b", "c"]);
    let constant = prop::sample::select(vec!["1", "2", "\"x\"", "\"xy\"", "true", "[1, \"x\"]", "[]"]);
    let leaf = prop_oneof![
        prop::sample::select(vec!["T", "U"]).prop_map(|name| format!("resource in Type::\"{name}\"")),
        prop::sample::select(vec!["/k", "/k/a", "/s"]).prop_map(|scope| format!("resource in Scope::\"{scope}\"")),
        Just("resource in [Type::\"T\", Scope::\"/s\"]".to_owned()),
        prop::sample::select(vec!["urn:e:1", "urn:e:2"]).prop_map(|id| format!("resource == Entity::\"{id}\"")),
        prop::sample::select(vec!["urn:e:*", "*:1", "urn:*:2"]).prop_map(|like| format!("resource.id like \"{like}\"")),
        attribute.clone().prop_map(|name| format!("resource has {name}")),
        attribute.clone().prop_map(|name| format!("resource.{name}")),
        (attribute.clone(), constant.clone()).prop_map(|(name, value)| format!("resource.{name} == {value}")),
        (attribute.clone(), constant.clone()).prop_map(|(name, value)| format!("{value} != resource.{name}")),
        (attribute.clone(), attribute.clone()).prop_map(|(a, b)| format!("resource.{a} == resource.{b}")),
        (attribute.clone(), prop::sample::select(vec!["<", "<=", ">", ">="]), prop::sample::select(vec!["1", "2"]))
            .prop_map(|(name, sign, value)| format!("resource.{name} {sign} {value}")),
        (attribute.clone(), constant).prop_map(|(name, value)| format!("resource.{name}.contains({value})")),
        attribute.prop_map(|name| format!("resource.{name} like \"x*\"")),
        Just("context.purpose == \"p\"".to_owned()),
        Just("principal in Role::\"developer\"".to_owned()),
        Just("resource is Entity".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
        ]
    })
}

fn statements() -> impl Strategy<Value = String> {
    let head =
        prop::sample::select(vec!["principal", "principal in Role::\"developer\"", "principal in Organisation::\"o\""]);
    let resource = prop::sample::select(vec!["resource", "resource in Type::\"T\"", "resource == Entity::\"urn:e:1\""]);
    let kind = prop::sample::select(vec!["when", "unless"]);
    (prop::bool::weighted(0.7), head, resource, kind, conditions()).prop_map(
        |(permits, head, resource, kind, condition)| {
            let effect = if permits { "permit" } else { "forbid" };
            format!("{effect} ({head}, action == Action::\"read\", {resource}) {kind} {{ {condition} }};")
        },
    )
}

fn entities() -> impl Strategy<Value = Entity> {
    let value = prop_oneof![
        prop::sample::select(vec![1, 2]).prop_map(Value::Int),
        prop::sample::select(vec!["x", "xy"]).prop_map(Value::text),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Float(1.5)),
        Just(Value::List(vec![Value::Int(1), Value::text("x")])),
        Just(Value::List(vec![Value::text("x"), Value::Int(1), Value::Int(1)])),
        Just(Value::List(vec![])),
    ];
    let attributes = prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), value, 0..3);
    let types = prop::sample::subsequence(vec!["T", "U"], 1..=2);
    let scopes = prop::sample::subsequence(vec!["/k/a", "/k", "/s/b", "/kk"], 0..=2);
    (prop::sample::select(vec!["urn:e:1", "urn:e:2"]), types, scopes, attributes).prop_map(
        |(id, types, scopes, attributes)| {
            let attributes: Vec<(&str, Value)> = attributes.into_iter().collect();
            entity(id, &types, &scopes, &attributes)
        },
    )
}

/// 10,000 random cases of up to four policies; `RENKEI_CASES` asks for more.
#[test]
fn what_is_pushed_down_is_what_the_engine_says_of_each_entity() {
    let cases = std::env::var("RENKEI_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let shown = std::cell::Cell::new(0u32);
    let of = |(texts, entity, purpose): (Vec<String>, Entity, &'static str)| {
        let mut policies = Policies::default();
        let mut all = format!("{ROLES}\n");
        for (at, text) in texts.iter().enumerate() {
            policies.insert(&format!("p{at}"), text).unwrap();
            all.push_str(&format!("@id(\"p{at}\") {text}\n"));
        }
        let who = principal(&[Role::Developer], Some("o"));
        let said = full(&PolicySet::from_str(&all).unwrap(), &who, Right::Read, purpose, &entity);
        let pushed = policies.decide(&who, Some(purpose), &Classes::new()).read.sight(&entity).is_some();
        shown.set(shown.get() + u32::from(said));
        prop_assert_eq!(pushed, said, "{:#?}\n{:?}", texts, entity);
        Ok(())
    };
    let strategy = (prop::collection::vec(statements(), 1..=4), entities(), prop::sample::select(vec!["", "p"]));
    runner.run(&strategy, of).unwrap();
    let (shown, hidden) = (shown.get(), cases - shown.get());
    assert!(shown > cases / 10 && hidden > cases / 10, "{shown} shown, {hidden} hidden: too few of one kind");
}
