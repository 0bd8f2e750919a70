//! Manifests and sources as the rules see them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub struct Room {
    pub name: String,
    /// Dependencies of the product, with the features asked for.
    pub dependencies: BTreeMap<String, Vec<String>>,
    pub for_tests: Vec<String>,
    pub has_house_lints: bool,
}

pub fn manifests() -> Vec<Room> {
    let mut folders: Vec<PathBuf> = children(&root().join("crates"));
    folders.extend(["e2e-tests", "fuzz"].map(|name| root().join(name)));
    let mut rooms = Vec::new();
    for folder in folders {
        let Ok(text) = std::fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        let name = manifest["package"]["name"].as_str().expect("a crate has a name").to_owned();
        let table = |key: &str| manifest.get(key).and_then(|table| table.as_table()).cloned().unwrap_or_default();
        let dependencies = table("dependencies").iter().map(|(name, value)| (name.clone(), features(value))).collect();
        let for_tests = table("dev-dependencies").keys().cloned().collect();
        let has_house_lints = table("lints").get("workspace").and_then(toml::Value::as_bool) == Some(true);
        rooms.push(Room { name, dependencies, for_tests, has_house_lints });
    }
    rooms
}

fn features(value: &toml::Value) -> Vec<String> {
    let list = value.get("features").and_then(|features| features.as_array());
    list.into_iter().flatten().filter_map(|feature| Some(feature.as_str()?.to_owned())).collect()
}

pub struct Source {
    /// From `crates/` on: `city-store/src/disk.rs`.
    pub path: String,
    pub text: String,
    /// Without the tests at its end.
    pub product: String,
    /// `product` without comments.
    pub code: String,
    pub is_test: bool,
}

/// Product sources of all crates, without `tests/`, `examples/` and `tests.rs`.
pub fn sources() -> Vec<Source> {
    all_sources().into_iter().filter(|source| !source.is_test).collect()
}

/// Every Rust file of the house.
pub fn all_sources() -> Vec<Source> {
    let crates = root().join("crates");
    let mut found = Vec::new();
    for folder in children(&crates) {
        walk(&folder, &mut |path| {
            if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&crates).expect("it is below").to_string_lossy().into_owned();
                found.push(read(relative, path));
            }
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(path: String, file: &Path) -> Source {
    let text = std::fs::read_to_string(file).expect("a source is UTF-8");
    let product = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
    let code = product.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let is_test = path.contains("/tests/") || path.contains("/examples/") || path.ends_with("/tests.rs");
    Source { path, text, product, code, is_test }
}

pub fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    paths
}

/// Every file below, in order; build outputs and hidden folders are left out.
pub fn walk(folder: &Path, see: &mut dyn FnMut(&Path)) {
    for path in children(folder) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            walk(&path, see);
        } else {
            see(&path);
        }
    }
}

/// Fails with every finding on a line of its own.
pub fn nothing(what: &str, findings: Vec<String>) {
    assert!(findings.is_empty(), "{what}:\n  {}", findings.join("\n  "));
}
