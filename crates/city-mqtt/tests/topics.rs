//! Names and filters as tables, and the tree held against the plain rule.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::BTreeSet;

use city_mqtt::topic::{Filter, check_name, literal_prefix, matches};
use city_mqtt::tree::Tree;

#[test]
fn filters_match_as_the_specification_says() {
    // 4.7.1.2, 4.7.1.3 and 4.7.2 of MQTT 5.
    for (filter, name, matched) in [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/#", "sport", true),
        ("#", "a/b/c", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/monitor", false),
        ("+/monitor", "$SYS/monitor", false),
        ("$SYS/#", "$SYS/monitor", true),
        ("$SYS/+", "$SYS/monitor", true),
        ("a/b", "a/B", false),
        ("a//b", "a//b", true),
        ("a/+/b", "a//b", true),
        ("温度/+", "温度/柏", true),
    ] {
        assert_eq!(matches(filter, name), matched, "{filter} {name}");
        assert!(!matched || name.starts_with(literal_prefix(filter)), "{filter} {name}");
    }
}

#[test]
fn what_is_no_name_or_no_filter_is_refused() {
    for name in ["a", "/", "a//b", "$x", "温度", " "] {
        assert!(check_name(name).is_ok(), "{name}");
    }
    let long = "a".repeat(1_025);
    let deep = "/".repeat(64);
    for name in ["", "a/+", "#", "a\0", long.as_str(), deep.as_str()] {
        assert!(check_name(name).is_err(), "{name}");
    }
    for filter in ["#", "+", "a/#", "+/a/+/#", "/", "$share/g/a", "$share/g/#", "$share/g//a", "$sharex/a"] {
        assert!(Filter::parse(filter).is_ok(), "{filter}");
    }
    for filter in [
        "",
        "a#",
        "a/#/b",
        "a+",
        "+a",
        "#/a",
        "$share",
        "$share/g",
        "$share//a",
        "$share/+/a",
        "$share/g/",
        "$share/g/a#",
    ] {
        let is_refused = Filter::parse(filter).is_err();
        assert_eq!(is_refused, filter != "$share", "{filter}");
    }
    let shared = Filter::parse("$share/g/a/b").unwrap();
    assert_eq!((shared.group, shared.path), (Some("g"), "a/b"));
}

/// Every filter and every name of up to three levels over a small alphabet.
#[test]
fn the_tree_finds_what_the_rule_finds() {
    let texts = |levels: &[&str]| {
        let mut texts: Vec<String> = Vec::new();
        for a in levels {
            texts.push((*a).to_owned());
            for b in levels {
                texts.push(format!("{a}/{b}"));
                texts.extend(levels.iter().map(|c| format!("{a}/{b}/{c}")));
            }
        }
        texts
    };
    let filters: Vec<String> =
        texts(&["a", "b", "", "$s", "+", "#"]).into_iter().filter(|filter| Filter::parse(filter).is_ok()).collect();
    let names: Vec<String> = texts(&["a", "b", "", "$s"]).into_iter().filter(|name| !name.is_empty()).collect();
    assert!(filters.len() > 150 && names.len() > 80);
    let mut tree = Tree::default();
    filters.iter().for_each(|filter| tree.insert(filter, filter.as_str()));
    let found = |tree: &Tree<&str>, name: &str| {
        let mut found = BTreeSet::new();
        tree.each_match(name, |filter| assert!(found.insert((*filter).to_owned()), "{filter} twice"));
        found
    };
    for name in &names {
        let expected: BTreeSet<String> = filters.iter().filter(|filter| matches(filter, name)).cloned().collect();
        assert_eq!(found(&tree, name), expected, "{name}");
    }
    for filter in &filters {
        tree.remove(filter, |own| *own == filter);
    }
    assert!(tree.is_empty() && names.iter().all(|name| found(&tree, name).is_empty()));
}
