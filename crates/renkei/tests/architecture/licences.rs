//! Every crate that is built in has a licence that an Apache-2.0 binary may carry.
//!
//! The same rule as `deny.toml`, for those who have no cargo-deny: GPL and AGPL fail, and so does
//! a licence that nobody has looked at.

use std::process::Command;

use serde_json::Value;

use crate::source::{nothing, root};

/// Licences that were read and found fit.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn no_dependency_has_a_licence_that_binds_the_city() {
    let metadata = metadata();
    let members = metadata["workspace_members"].as_array().expect("members are listed");
    let used: Vec<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("the graph is resolved")
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let id = package["id"].as_str().unwrap_or_default();
        if members.contains(&package["id"]) || !used.contains(&id) {
            continue;
        }
        looked_at += 1;
        let licence = package["license"].as_str().unwrap_or("none named");
        if !allowed(licence) {
            wrong.push(format!("{} {}: {licence}", package["name"], package["version"]));
        }
    }
    assert!(looked_at > 100, "only {looked_at} packages were found");
    nothing("licences that were not found fit", wrong);
}

/// Of this machine's platform, out of the registry as it lies on the disk: no network.
fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let version = Command::new(&cargo).arg("-vV").output().expect("cargo runs");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo names its host");
    let output = Command::new(&cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("metadata is JSON")
}

/// SPDX: OR needs one side, AND both; `/` is how OR was once written.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize) -> bool {
    let mut fit = all_of(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        fit |= all_of(words, at);
    }
    fit
}

fn all_of(words: &[&str], at: &mut usize) -> bool {
    let mut fit = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        fit &= one(words, at);
    }
    fit
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let fit = any_of(words, at);
        *at += 1;
        return fit;
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    ALLOWED.contains(&name.as_str())
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    for fit in ["MIT OR GPL-3.0", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0", "GPL-2.0-only OR ISC"] {
        assert!(allowed(fit), "{fit}");
    }
    for unfit in ["GPL-3.0-only", "AGPL-3.0", "MIT AND GPL-2.0-only", "none named", "", "Apache-2.0 WITH Something"] {
        assert!(!allowed(unfit), "{unfit}");
    }
}
