//! The manifest beside each part: what it is, and how to tell that it is whole.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use city_model::Time;
use city_store::Error;
use city_store::backup::{PART_FORMAT, PartEnd, PartHead, PartKind, Since};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::shelf::{damaged, hex};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format: u32,
    /// `base` or `increment`.
    pub kind: String,
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
    /// `sha256` of the part before it.
    pub previous: Option<String>,
    pub raw_bytes: u64,
    pub release: String,
    pub folder_format: u32,
    /// What was answered until then is in it.
    pub taken_at: String,
    /// The record that the part before it ended with.
    pub after: u64,
    /// First and last record of the journal that is in it.
    pub first_record: u64,
    pub last_record: u64,
    pub last_record_crc: u32,
    pub records: u64,
    pub first_time: Option<String>,
    pub last_time: Option<String>,
    /// Values of each key space.
    pub values: BTreeMap<String, u64>,
}

/// The file: the manifest and the checksum of its text.
#[derive(Serialize, Deserialize)]
struct Sealed {
    manifest: Manifest,
    sha256: String,
}

impl Manifest {
    pub fn new(
        head: &PartHead,
        end: &PartEnd,
        previous: Option<String>,
        (file, bytes, sha256): (String, u64, String),
    ) -> Self {
        let is_base = head.kind == PartKind::Base;
        // Under load changes come between the look at the clock and the instant; one thread gives all
        // changes their times, so what is older than the last of them is in it as well.
        let taken_at = head.taken_at.max(end.times.map_or(head.taken_at, |(_, last)| last));
        Self {
            format: PART_FORMAT,
            kind: if is_base { "base" } else { "increment" }.to_owned(),
            file,
            bytes,
            sha256,
            previous,
            raw_bytes: end.raw_bytes,
            release: head.release.to_string(),
            folder_format: head.folder_format,
            taken_at: taken_at.to_string(),
            after: head.after,
            first_record: end.first_lsn,
            last_record: head.watermark,
            last_record_crc: end.last_crc,
            records: end.records,
            first_time: end.times.map(|(first, _)| first.to_string()),
            last_time: end.times.map(|(_, last)| last.to_string()),
            values: end.values.iter().map(|(space, values)| (space.to_string(), *values)).collect(),
        }
    }

    pub fn to_text(&self) -> String {
        let sealed = Sealed { manifest: self.clone(), sha256: self.checksum() };
        // A struct of texts and numbers always becomes JSON.
        format!("{}\n", serde_json::to_string(&sealed).unwrap_or_default())
    }

    fn checksum(&self) -> String {
        hex(digest(&SHA256, serde_json::to_string(self).unwrap_or_default().as_bytes()).as_ref())
    }

    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        // The format first: a newer one may look otherwise.
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|why| damaged(path, format!("it is not JSON: {why}")))?;
        let format = value["manifest"]["format"].as_u64().and_then(|format| u32::try_from(format).ok());
        if let Some(found) = format.filter(|found| *found > PART_FORMAT) {
            return Err(Error::BackupNewer { file: path.display().to_string(), found, known: PART_FORMAT }.into());
        }
        let sealed: Sealed =
            serde_json::from_value(value).map_err(|why| damaged(path, format!("it is no manifest: {why}")))?;
        // The text as a whole: also a space more is not what was written.
        if sealed.manifest.to_text() != text {
            return Err(damaged(path, "its checksum does not match").into());
        }
        let manifest = sealed.manifest;
        let times = [Some(&manifest.taken_at), manifest.first_time.as_ref(), manifest.last_time.as_ref()];
        if times.into_iter().flatten().any(|text| Time::parse(text).is_none()) {
            return Err(damaged(path, "a time in it cannot be read").into());
        }
        Ok(manifest)
    }

    pub fn is_base(&self) -> bool {
        self.kind == "base"
    }

    pub fn taken_at(&self) -> Time {
        Time::parse(&self.taken_at).unwrap_or_default()
    }

    pub fn last_time(&self) -> Option<Time> {
        self.last_time.as_deref().and_then(Time::parse)
    }

    /// What the next increment is taken since.
    pub fn since(&self) -> Since {
        Since { lsn: self.last_record, crc: self.last_record_crc }
    }
}
