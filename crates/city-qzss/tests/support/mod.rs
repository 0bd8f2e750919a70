//! Where the logs of real messages lie, and how azarashi is asked what it reads.

#![allow(dead_code, reason = "each test uses its part")]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The version that our lists were read from; another may know other codes.
pub const AZARASHI: &str = "0.17.1";
const ARCHIVE: &str = "qzss/azarashi-qzss-dcr-dcx-logs.tar.gz";
/// The logs in it, and when they were received.
const LOGS: [(&str, &str); 2] = [("qzqsm_220307.log", "2022-03-07"), ("qzqsm_dcx_240604.log", "2024-06-04")];

fn is_required() -> bool {
    std::env::var_os("RENKEI_REQUIRE_DATA").is_some_and(|value| value == "1")
}

/// Says that a test proved nothing this time, or fails where that may not be.
fn skipped(why: &str) {
    assert!(!is_required(), "{why}, and RENKEI_REQUIRE_DATA=1");
    // Past the test runner's capture: a skipped test must be seen in a green run.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// The sentences of both logs: `(date, lines)`. `None` where the test is skipped.
pub fn logs() -> Option<Vec<(&'static str, Vec<String>)>> {
    let data = std::env::var_os("RENKEI_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let archive = data.join(ARCHIVE);
    if !archive.exists() {
        skipped(&format!("{} is not there; set RENKEI_DATA", archive.display()));
        return None;
    }
    let read = |(name, date): (&str, &'static str)| {
        let output = Command::new("tar").arg("xzOf").arg(&archive).args(["--wildcards", &format!("*{name}")]).output();
        let output = output.expect("tar runs");
        assert!(output.status.success(), "{name} is not in {}", archive.display());
        let text = String::from_utf8(output.stdout).unwrap();
        (date, text.lines().filter(|line| line.starts_with('$')).map(str::to_owned).collect())
    };
    Some(LOGS.map(read).into())
}

pub struct Azarashi {
    python: PathBuf,
}

/// Azarashi out of the environment that `tools/setup.sh test` makes, else of this machine's Python. `None` where the
/// test is skipped.
pub fn azarashi() -> Option<Azarashi> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin/python3");
    let python = if made.exists() { made } else { PathBuf::from("python3") };
    let oracle = Azarashi { python };
    match oracle.run(&["version"], "version", &[]) {
        Ok(lines) => {
            assert_eq!(lines, [AZARASHI], "another azarashi than the one that the lists were read from");
            Some(oracle)
        }
        Err(error) => {
            skipped(&format!("azarashi cannot be asked ({error}); tools/setup.sh test installs it"));
            None
        }
    }
}

impl Azarashi {
    /// One answer for each line.
    pub fn ask(&self, arguments: &[&str], name: &str, lines: &[String]) -> Vec<Value> {
        let answers = self.run(arguments, name, lines).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(answers.len(), lines.len());
        answers.iter().map(|answer| serde_json::from_str(answer).unwrap()).collect()
    }

    fn run(&self, arguments: &[&str], name: &str, lines: &[String]) -> Result<Vec<String>, String> {
        let questions = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.txt", std::process::id()));
        std::fs::write(&questions, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle.py");
        let output = Command::new(&self.python)
            .arg(script)
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONIOENCODING", "utf-8")
            .stdin(File::open(&questions).unwrap())
            .output();
        let _ = std::fs::remove_file(&questions);
        let output = output.map_err(|error| format!("{}: {error}", self.python.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(said.lines().last().unwrap_or("it said nothing").to_owned());
        }
        Ok(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
    }
}

/// The sentence of a frame, as satellite 55 sends it.
pub fn sentence(frame: &city_qzss::Frame) -> String {
    let body = format!("$QZQSM,55,{}", frame.digits());
    let sum = body.bytes().skip(1).fold(0, |sum, byte| sum ^ byte);
    format!("{body}*{sum:02X}")
}
