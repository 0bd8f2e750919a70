//! A feed held against the rules of the field, each problem by the name that the canonical GTFS validator gives it.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use gtfs_guru_core::{
    GtfsBytesReader, NoticeSeverity, default_runner, set_notice_group_limit, set_validation_country_code,
    set_validation_date, validate_bytes_reader,
};
use serde::Serialize;

use crate::{Archive, Error};

/// Problems of one rule that are shown; all are counted.
pub const SHOWN_OF_A_RULE_MAX: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Error,
    Warning,
    Info,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// As in `foreign_key_violation`.
    pub rule: String,
    pub level: Level,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the rule says beside: the value, and what it was compared with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, serde_json::Value>,
}

/// How often a rule was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    pub rule: String,
    pub level: Level,
    pub count: usize,
}

/// What was found: how often each rule, and the first problems of each.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Findings {
    pub errors: usize,
    pub warnings: usize,
    pub infos: usize,
    pub rules: Vec<Rule>,
    pub problems: Vec<Problem>,
}

/// Checks an archive as of a day: calendars that are over by then are named.
pub fn check(bytes: &[u8], day: NaiveDate, country: &str) -> Result<Findings, Error> {
    // The rules read with larger bounds than ours.
    Archive::open(bytes)?.measure()?;
    // The rules ask the thread for these.
    let _day = set_validation_date(Some(day));
    let _country = set_validation_country_code(Some(country.to_owned()));
    let _limit = set_notice_group_limit(Some(SHOWN_OF_A_RULE_MAX));
    let outcome = validate_bytes_reader(&GtfsBytesReader::from_slice(bytes), &default_runner());
    let (errors, warnings, infos) = outcome.notices.severity_counts();
    let counts = outcome.notices.group_counts().into_iter();
    let mut rules: Vec<Rule> = counts.map(|((rule, level), count)| Rule { rule, level: of(level), count }).collect();
    rules.sort_by(|a, b| (a.level, &a.rule).cmp(&(b.level, &b.rule)));
    let mut problems: Vec<Problem> = outcome
        .notices
        .into_vec()
        .into_iter()
        .map(|notice| {
            // Some rules name the place of what they found only among the details.
            let said = |names: [&str; 2]| names.iter().find_map(|name| notice.context.get(*name));
            let file = said(["filename", "childFilename"]).and_then(|file| file.as_str()).map(str::to_owned);
            let line = said(["csvRowNumber", "childCsvRowNumber"]).and_then(serde_json::Value::as_u64);
            let field = said(["fieldName", "childFieldName"]).and_then(|field| field.as_str()).map(str::to_owned);
            Problem {
                level: of(notice.severity),
                message: notice.message,
                file: notice.file.or(file),
                line: notice.row.or(line),
                field: notice.field.or(field),
                rule: notice.code,
                details: notice.context,
            }
        })
        .collect();
    problems.sort_by(|a, b| (a.level, &a.rule, &a.file, a.line).cmp(&(b.level, &b.rule, &b.file, b.line)));
    Ok(Findings { errors, warnings, infos, rules, problems })
}

fn of(severity: NoticeSeverity) -> Level {
    match severity {
        NoticeSeverity::Error => Level::Error,
        NoticeSeverity::Warning => Level::Warning,
        NoticeSeverity::Info => Level::Info,
    }
}
