//! What the documents say is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::source::{nothing, root, sources, walk};

fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    walk(&root(), &mut |path| {
        if path.extension().is_some_and(|extension| extension == "md")
            && let Ok(text) = std::fs::read_to_string(path)
        {
            found.push((path.to_owned(), text));
        }
    });
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn page(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Three letters, a hyphen, three digits.
fn codes_in(text: &str) -> BTreeSet<String> {
    let bytes = text.as_bytes();
    let is_code = |word: &[u8]| {
        word[..3].iter().all(u8::is_ascii_uppercase) && word[3] == b'-' && word[4..].iter().all(u8::is_ascii_digit)
    };
    let alone = |at: usize| {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let after = bytes.get(at + 7);
        !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !after.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    let found = bytes.windows(7).enumerate().filter(|(at, word)| is_code(word) && alone(*at));
    found.map(|(_, word)| String::from_utf8_lossy(word).into_owned()).collect()
}

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() {
    let codes: BTreeSet<String> = sources().iter().flat_map(|source| codes_in(&source.code)).collect();
    let mut pages = BTreeSet::new();
    walk(&root().join("docs/errors"), &mut |path| {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name != "README" {
            pages.insert(name);
        }
    });
    let mut wrong: Vec<String> =
        codes.difference(&pages).map(|code| format!("docs/errors/{code}.md is missing")).collect();
    wrong.extend(pages.difference(&codes).map(|code| format!("docs/errors/{code}.md is about no code of ours")));
    let index = codes_in(&page("docs/errors/README.md"));
    wrong.extend(codes.difference(&index).map(|code| format!("docs/errors/README.md does not list {code}")));
    nothing("error pages", wrong);
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        let folder = path.parent().expect("a file is in a folder");
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let aimed = if file.is_empty() { path.clone() } else { folder.join(file) };
            if !aimed.exists() {
                wrong.push(format!("{} leads to {target}", shown(&path)));
            } else if !anchor.is_empty() && !anchors(&aimed).contains(anchor) {
                wrong.push(format!("{} leads to {target}: there is no such heading", shown(&path)));
            }
        }
    }
    nothing("links", wrong);
}

/// Targets of `[text](target)` outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let mut rest = line.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            found.push(rest[..end].to_owned());
        }
    }
    found
}

/// Lines outside of fenced code, without inline code.
fn prose(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join("`"));
        }
    }
    lines
}

fn anchors(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    let slug = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    headings.map(slug).collect()
}

/// Words in back quotes.
fn quoted(text: &str) -> Vec<String> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_file_that_the_map_names_is_there() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for name in ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/reference/status.md"] {
        for word in quoted(&page(name)) {
            let file = word.split_whitespace().next().unwrap_or_default();
            let is_path =
                ["fuzz/", "crates/", "docs/", "bench/", "examples/", "e2e-tests/"].iter().any(|f| file.starts_with(f));
            if is_path && !file.contains(['*', '<', '…', '{']) {
                named += 1;
                if !root().join(file).exists() {
                    wrong.push(format!("{name} names {file}"));
                }
            }
        }
    }
    assert!(named > 30, "only {named} files are named");
    nothing("files that are not there", wrong);
}

#[test]
fn every_command_that_a_document_shows_exists() {
    let known: BTreeSet<String> = page("docs/reference/commands.md")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("## `renkei ")?.split(['`', ' ']).next()?.to_owned()))
        .chain(["reference", "help"].map(str::to_owned))
        .collect();
    let makefile = page("Makefile");
    let targets: BTreeSet<&str> = makefile.lines().filter_map(|line| line.split_once(':')).map(|(t, _)| t).collect();
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        // What does not exist yet may be named where it is said that it does not.
        if shown(&path) == "docs/reference/status.md" || shown(&path) == "CHANGELOG.md" {
            continue;
        }
        for shell in commands(&text) {
            let mut words = shell.split_whitespace();
            match (words.next(), words.next()) {
                (Some("renkei" | "target/release/renkei" | "target/ci/renkei"), Some(command))
                    if !command.starts_with('-') && !known.contains(command) =>
                {
                    wrong.push(format!("{}: {shell}", shown(&path)));
                }
                (Some("make"), Some(target)) if !target.contains('=') && !targets.contains(target) => {
                    wrong.push(format!("{}: {shell}", shown(&path)));
                }
                _ => {}
            }
        }
    }
    nothing("commands that do not exist", wrong);
}

/// Lines of fenced shell, and inline code that is a command.
fn commands(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            found.push(line.trim().trim_start_matches("$ ").to_owned());
        } else {
            found.extend(quoted(line).into_iter().map(|word| word.trim().to_owned()));
        }
    }
    found.retain(|line| line.starts_with("renkei ") || line.starts_with("make ") || line.starts_with("target/"));
    found
}

/// A promise is shown by a test that is there: `cargo test -p ROOM --test FILE part_of_its_name`.
#[test]
fn every_test_that_the_status_names_is_there() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for command in quoted(&page("docs/reference/status.md")) {
        let Some(rest) = command.strip_prefix("cargo test -p ") else { continue };
        named += 1;
        let mut words = rest.split_whitespace();
        let room = words.next().unwrap_or_default();
        let (mut file, mut name) = (None, None);
        while let Some(word) = words.next() {
            match word {
                "--test" => file = words.next(),
                word => name = Some(word),
            }
        }
        let folder = if ["e2e-tests", "fuzz"].contains(&room) { room.to_owned() } else { format!("crates/{room}") };
        if !root().join(&folder).is_dir() {
            wrong.push(format!("{command}: there is no room {room}"));
            continue;
        }
        let file = file.map(|file| format!("{folder}/tests/{file}.rs"));
        let Some(name) = name else {
            wrong.extend(file.filter(|file| !root().join(file).exists()).map(|file| format!("{command}: no {file}")));
            continue;
        };
        let mut found = false;
        walk(&root().join(&folder), &mut |path| {
            let shown = shown(path);
            let is_asked = file.as_ref().is_none_or(|file| shown.starts_with(file.trim_end_matches(".rs")));
            found |= is_asked && shown.ends_with(".rs") && (shown.contains(name) || names_a_test(path, name));
        });
        if !found {
            wrong.push(format!("{command}: no test there is called …{name}…"));
        }
    }
    assert!(named > 20, "only {named} tests are named");
    nothing("tests that are not there", wrong);
}

fn names_a_test(path: &Path, part: &str) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let functions = text.lines().filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "));
    functions.filter_map(|rest| rest.split('(').next()).any(|name| name.contains(part))
}

#[test]
fn every_metric_has_a_line_and_every_line_a_metric() {
    let in_code: BTreeSet<String> = sources().iter().flat_map(|source| metrics_in(&source.code)).collect();
    let in_page = metrics_in(&page("docs/operating/metrics.md"));
    let mut wrong: Vec<String> = in_code.difference(&in_page).map(|name| format!("{name} is not described")).collect();
    wrong.extend(in_page.difference(&in_code).map(|name| format!("{name} is described but not counted")));
    nothing("metrics", wrong);
}

fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| {
        word.starts_with("renkei_")
            && ["_total", "_seconds", "_bytes", "_behind", "_entities", "_connections", "_flight"]
                .iter()
                .any(|end| word.ends_with(end))
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

/// Rewrites the page of limits where `RENKEI_BLESS` is set; else compares.
#[test]
fn the_page_of_limits_says_what_the_code_says() {
    let path = root().join("docs/reference/limits.md");
    let text = std::fs::read_to_string(&path).expect("limits.md is there");
    let mark = "<!-- made from the sources: RENKEI_BLESS=1 cargo test -p renkei --test architecture -->\n";
    let (by_hand, made) = text.split_once(mark).expect("limits.md has its mark");
    let wanted = limits();
    if std::env::var_os("RENKEI_BLESS").is_some() {
        std::fs::write(&path, format!("{by_hand}{mark}{wanted}")).expect("limits.md can be written");
    } else {
        assert!(made == wanted, "run RENKEI_BLESS=1 cargo test -p renkei --test architecture; expected:\n{wanted}");
    }
}

/// Every constant that ends in `_MAX` and says above itself what it bounds.
fn limits() -> String {
    let mut rooms: BTreeMap<String, Vec<(String, String, String)>> = BTreeMap::new();
    for source in sources() {
        // The simulated town and the load generator bound themselves, not the city.
        if source.path.starts_with("renkei/src/demo/") || source.path.starts_with("renkei/src/bench/") {
            continue;
        }
        let mut comment = String::new();
        for line in source.product.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("///") {
                comment = format!("{comment} {}", text.trim());
                continue;
            }
            let constant = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").strip_prefix("const ");
            if let Some((name, rest)) = constant.and_then(|rest| rest.split_once(':'))
                && name.ends_with("_MAX")
                // Without a comment it bounds only how much of a text is shown.
                && !comment.is_empty()
                && let Some((_, value)) = rest.split_once('=')
            {
                let room = source.path.split('/').next().unwrap_or_default().to_owned();
                let value = value.trim().trim_end_matches(';').to_owned();
                rooms.entry(room).or_default().push((name.to_owned(), value, comment.trim().to_owned()));
            }
            if !line.starts_with("#[") {
                comment.clear();
            }
        }
    }
    let mut out = String::new();
    for (room, bounds) in rooms {
        let _ = writeln!(out, "\n### {room}\n\n| bound | value | |\n|---|---|---|");
        for (name, value, comment) in bounds {
            let _ = writeln!(out, "| `{name}` | `{value}` | {} |", comment.replace('|', "\\|"));
        }
    }
    out
}

#[test]
fn codes_are_told_from_other_words() {
    let text = "STO-001 \"CTX-012\" RENKEIJ1 UTF-8 ISO-8601 XSTO-0012 A-STO-001";
    assert_eq!(codes_in(text), ["STO-001", "CTX-012"].map(str::to_owned).into());
}
