//! Where the real data lie, and how a test says that it was skipped.

use std::path::{Path, PathBuf};

/// The folder of a data set, if it is there.
///
/// # Panics
///
/// When it is not and `RENKEI_REQUIRE_DATA=1`.
#[must_use]
pub fn data_folder(set: &str) -> Option<PathBuf> {
    let all = std::env::var_os("RENKEI_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let folder = all.join(set);
    if folder.is_dir() {
        return Some(folder);
    }
    let shown = folder.display();
    assert!(
        std::env::var_os("RENKEI_REQUIRE_DATA").is_none_or(|value| value != "1"),
        "there is no data in {shown}, and RENKEI_REQUIRE_DATA=1 asks for it"
    );
    skipped(&format!("there is no data in {shown}; set RENKEI_DATA"));
    None
}

/// Says aloud that a test proved nothing this time.
pub fn skipped(why: &str) {
    // Past the test runner's capture: a skipped test must be seen in a green run.
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
