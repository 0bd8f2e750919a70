//! A message: its control and head by their fields, its body as a tree.

use city_model::Time;
use serde::Serialize;
use serde_json::Value;

use super::Error;
use super::rows::{self, Row};
use super::schema::Of;
use super::tree;
use crate::xml::{self, Element};

const REPORT_NAMESPACE: &str = "http://xml.kishou.go.jp/jmaxml1/";
const HEAD_NAMESPACE: &str = "http://xml.kishou.go.jp/jmaxml1/informationBasis1/";

/// What the body is about, by its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    Meteorology,
    Seismology,
    Volcanology,
    /// A namespace that this does not know; the body is kept all the same.
    Other,
}

/// A message (電文). As JSON: `control`, `head`, `subject`, `body`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub control: Control,
    pub head: Head,
    pub subject: Subject,
    /// The tree of the body; see `tree` for its shapes.
    pub body: Value,
}

/// 管理部.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Control {
    /// Which kind of message it is (情報名称).
    pub title: String,
    /// When it was sent, in UTC.
    pub date_time: String,
    /// 通常 (normal), 訓練 (exercise) or 試験 (test).
    pub status: String,
    pub editorial_office: String,
    pub publishing_office: Vec<String>,
}

/// ヘッダ部. Dates are as written, and are dates.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    pub title: String,
    pub report_date_time: String,
    /// Null where the message says so.
    pub target_date_time: Option<String>,
    #[serde(rename = "targetDTDubious", skip_serializing_if = "Option::is_none")]
    pub target_dt_dubious: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_date_time: Option<String>,
    /// What the messages about one happening have in common; may be empty.
    #[serde(rename = "eventID")]
    pub event_id: String,
    /// 発表 (issue), 訂正 (correction), 遅延 (late issue) or 取消 (cancel).
    pub info_type: String,
    /// Which of an event's messages it is; may be empty.
    pub serial: String,
    pub info_kind: String,
    pub info_kind_version: String,
    pub headline: Headline,
}

/// 見出し.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Headline {
    pub text: String,
    /// Which kinds apply to which areas, as trees.
    pub information: Vec<Value>,
}

/// Reads a message. Everything in it is kept.
pub fn read(bytes: &[u8]) -> Result<Report, Error> {
    let root = xml::read(bytes)?;
    if root.name != "Report" || &*root.namespace != REPORT_NAMESPACE {
        return Err(Error::NotReport(format!("<{}> of {:?}", root.name, root.namespace)));
    }
    let control = root.child("Control").ok_or(Error::Missing("Control"))?;
    let is_head = |child: &&Element| child.name == "Head" && &*child.namespace == HEAD_NAMESPACE;
    let head = root.children.iter().find(is_head).ok_or(Error::Missing("Head"))?;
    let body = root.children.iter().find(|child| child.name == "Body").ok_or(Error::Missing("Body"))?;
    let (subject, of) = subject(&body.namespace);
    Ok(Report { control: control_of(control)?, head: head_of(head)?, subject, body: tree::value(body, of) })
}

impl Report {
    /// One row for each thing that a city acts on; see `rows` for what is in them.
    pub fn rows(&self) -> Result<Vec<Row>, Error> {
        rows::rows(self)
    }
}

fn subject(namespace: &str) -> (Subject, Option<Of>) {
    match namespace {
        "http://xml.kishou.go.jp/jmaxml1/body/meteorology1/" => (Subject::Meteorology, Some(Of::Type("mete:Body"))),
        "http://xml.kishou.go.jp/jmaxml1/body/seismology1/" => (Subject::Seismology, Some(Of::Type("seis:Body"))),
        "http://xml.kishou.go.jp/jmaxml1/body/volcanology1/" => (Subject::Volcanology, Some(Of::Type("volc:Body"))),
        _ => (Subject::Other, None),
    }
}

fn control_of(control: &Element) -> Result<Control, Error> {
    let offices = text(control, "PublishingOffice", "Control/PublishingOffice")?;
    Ok(Control {
        title: text(control, "Title", "Control/Title")?,
        date_time: date_time(control, "DateTime", "Control/DateTime")?,
        status: text(control, "Status", "Control/Status")?,
        editorial_office: text(control, "EditorialOffice", "Control/EditorialOffice")?,
        publishing_office: offices.split(xml::is_space).filter(|one| !one.is_empty()).map(str::to_owned).collect(),
    })
}

fn head_of(head: &Element) -> Result<Head, Error> {
    let target = head.child("TargetDateTime").ok_or(Error::Missing("Head/TargetDateTime"))?;
    let optional = |name: &str| head.child(name).map(|element| element.trimmed().to_owned());
    let headline = head.child("Headline").ok_or(Error::Missing("Head/Headline"))?;
    let information = headline.children.iter().filter(|child| child.name == "Information");
    Ok(Head {
        title: text(head, "Title", "Head/Title")?,
        report_date_time: date_time(head, "ReportDateTime", "Head/ReportDateTime")?,
        target_date_time: match target.trimmed().is_empty() {
            true => None,
            false => Some(date_time(head, "TargetDateTime", "Head/TargetDateTime")?),
        },
        target_dt_dubious: optional("TargetDTDubious"),
        target_duration: optional("TargetDuration"),
        valid_date_time: match head.child("ValidDateTime").is_some_and(|element| !element.trimmed().is_empty()) {
            true => Some(date_time(head, "ValidDateTime", "Head/ValidDateTime")?),
            false => None,
        },
        event_id: text(head, "EventID", "Head/EventID")?,
        info_type: text(head, "InfoType", "Head/InfoType")?,
        serial: text(head, "Serial", "Head/Serial")?,
        info_kind: text(head, "InfoKind", "Head/InfoKind")?,
        info_kind_version: text(head, "InfoKindVersion", "Head/InfoKindVersion")?,
        headline: Headline {
            text: text(headline, "Text", "Head/Headline/Text")?,
            information: information.map(|one| tree::value(one, Some(Of::Type("ib:Information")))).collect(),
        },
    })
}

/// An element that must be there; it may be empty.
fn text(parent: &Element, name: &str, path: &'static str) -> Result<String, Error> {
    Ok(parent.child(name).ok_or(Error::Missing(path))?.trimmed().to_owned())
}

fn date_time(parent: &Element, name: &str, path: &'static str) -> Result<String, Error> {
    let text = parent.child(name).ok_or(Error::Missing(path))?.trimmed();
    match text.contains('T') && Time::parse(text).is_some() {
        true => Ok(text.to_owned()),
        false => Err(Error::DateTime { path, value: text.chars().take(40).collect() }),
    }
}
