//! Small things that nobody should have to argue about.

use crate::source::{all_sources, nothing, root, sources, walk};

/// A file is about one subject; past this many lines it must say why it still is.
const LINES_MAX: usize = 500;
/// Longer files, how far they may grow, and why they are not split.
const LONG_FILES: &[(&str, usize, &str)] = &[
    ("city-context/src/stage.rs", 720, "one even list: how each kind of change becomes a record"),
    ("city-action/src/delivery.rs", 570, "one lane's life, whose states refer to each other"),
    ("city-ngsi-ld/src/entity/attribute.rs", 580, "one even list: the forms of an attribute, clause by clause"),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc", "manager", "shared_code"];

#[test]
fn files_are_about_one_subject() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        let lines = source.text.lines().count();
        let bound = LONG_FILES.iter().find(|(path, ..)| *path == source.path).map_or(LINES_MAX, |(_, bound, _)| *bound);
        if lines > bound {
            wrong.push(format!("{} has {lines} lines, more than {bound}: split it by subject", source.path));
        }
    }
    nothing("long files", wrong);
}

#[test]
fn names_say_what_is_inside() {
    let mut wrong = Vec::new();
    for source in all_sources() {
        let empty = source.path.trim_end_matches(".rs").split('/').find(|part| EMPTY_NAMES.contains(part));
        if let Some(part) = empty {
            wrong.push(format!("{}: \"{part}\" says nothing", source.path));
        }
    }
    nothing("empty names", wrong);
}

#[test]
fn a_file_begins_with_its_sentence() {
    let without = all_sources().into_iter().filter(|source| !source.text.starts_with("//!"));
    nothing("files without a //! head", without.map(|source| source.path).collect());
}

#[test]
fn nothing_unfinished_is_left_behind() {
    // In two halves, so that this file does not find itself.
    let marks: Vec<String> =
        [("TO", "DO"), ("FIX", "ME"), ("XX", "X "), ("todo", "!("), ("unimplemented", "!("), ("dbg", "!(")]
            .iter()
            .map(|(a, b)| format!("{a}{b}"))
            .collect();
    let mut wrong = Vec::new();
    for source in all_sources() {
        let lines = (1..).zip(source.text.lines());
        let found = lines.filter(|(_, line)| marks.iter().any(|mark| line.contains(mark.as_str())));
        wrong.extend(found.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())));
    }
    nothing("unfinished", wrong);
}

#[test]
fn no_machine_of_ours_is_named() {
    let places: Vec<String> = [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/")].map(|(a, b)| format!("{a}{b}")).into();
    let mut wrong = Vec::new();
    walk(&root(), &mut |path| {
        let Ok(text) = std::fs::read_to_string(path) else { return };
        let lines = (1..).zip(text.lines());
        let found = lines.filter(|(_, line)| places.iter().any(|place| line.contains(place.as_str())));
        wrong.extend(found.map(|(number, _)| format!("{}:{number}", path.display())));
    });
    nothing("paths of one machine", wrong);
}

#[test]
fn product_code_does_not_print_but_for_its_commands() {
    // Rooms write traces; what a person reads on the terminal is the command line's.
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.path.starts_with("renkei/src/")) {
        let prints = ["println!(", "print!(", "eprint!("].iter().find(|word| source.code.contains(**word));
        if let Some(word) = prints {
            wrong.push(format!("{} says {word})", source.path));
        }
    }
    nothing("prints", wrong);
}
