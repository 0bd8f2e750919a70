//! Files of the data that lie outside of the repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

type Files = BTreeMap<String, Vec<u8>>;

/// Tests of one binary run beside one another and read the same archives.
static UNPACKED: Mutex<BTreeMap<String, Arc<Files>>> = Mutex::new(BTreeMap::new());

/// Files of an archive whose names end so, by their path in it. `None`, said aloud, where the data may be missing:
/// `$RENKEI_DATA`, else `../shared/data` beside the repository, unless `RENKEI_REQUIRE_DATA=1` forbids that.
pub fn unpacked(archive: &str, suffix: &str) -> Option<Arc<Files>> {
    let mut unpacked = UNPACKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(files) = unpacked.get(archive) {
        return Some(files.clone());
    }
    let root = std::env::var_os("RENKEI_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = root.join(archive);
    if !path.exists() {
        let required = std::env::var_os("RENKEI_REQUIRE_DATA").is_some_and(|value| value == "1");
        assert!(!required, "{} is missing, and RENKEI_REQUIRE_DATA=1", path.display());
        println!("skipped: {} is not there", path.display());
        return None;
    }
    let name = format!("{}-{}", env!("CARGO_CRATE_NAME"), archive.replace('/', "-"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let status = Command::new("tar").arg("xzf").arg(&path).arg("-C").arg(&folder).status().expect("tar runs");
    assert!(status.success(), "tar could not unpack {}", path.display());
    let mut files = Files::new();
    collect(&folder, &folder, suffix, &mut files);
    assert!(!files.is_empty(), "{} has no {suffix}", path.display());
    std::fs::remove_dir_all(&folder).unwrap();
    Some(unpacked.entry(archive.to_owned()).or_insert(Arc::new(files)).clone())
}

fn collect(root: &Path, folder: &Path, suffix: &str, files: &mut Files) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, suffix, files);
        } else if path.to_string_lossy().ends_with(suffix) {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}
