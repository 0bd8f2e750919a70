//! What is asked of the past: the parameters of a temporal query come in, spans, members and form go out
//! (clauses 4.11, 4.21, 4.5.19).

use city_model::temporal::Aggregation;
use city_model::{DatasetId, Name, TemporalQuery};
use city_ngsi_ld::TemporalOptions;
use city_ngsi_ld::query::{parse_aggregation, parse_dataset_ids, parse_members, parse_names, parse_temporal_query};

use super::attributes::options;
use super::query::Projection;
use super::request::Ask;
use crate::parameters::Parameters;
use crate::problem::{Kind, Problem};

/// The member `scope`, by its full name.
pub const SCOPE: &str = "https://uri.etsi.org/ngsi-ld/scope";

/// What is asked of the past, beside which entities.
pub struct PastAsked {
    pub temporal: TemporalQuery,
    /// Attributes to show; empty means all.
    pub attrs: Vec<Name>,
    /// Members to show, and members not to show (clause 4.21).
    pub pick: Option<Vec<Name>>,
    pub omit: Vec<Name>,
    /// Only instances of these; empty means all (clause 4.5.5).
    pub dataset_ids: Vec<Option<DatasetId>>,
    pub simplified: bool,
    pub concise: bool,
    pub sys_attrs: bool,
    /// Values put together instead of instances (clause 4.5.19).
    pub aggregation: Option<Aggregation>,
    pub lang: Option<String>,
}

impl PastAsked {
    pub fn parse(parameters: &Parameters, ask: &Ask) -> Result<Self, Problem> {
        let find = |name: &str| parameters.find(name);
        let temporal = parse_temporal_query(
            find("timerel"),
            find("timeAt"),
            find("endTimeAt"),
            find("timeproperty"),
            find("lastN"),
        )?;
        let attrs = find("attrs").map(|text| parse_names("attrs", text, &ask.terms)).transpose()?.unwrap_or_default();
        let lang = find("lang").map(str::to_owned);
        let members = |what: &'static str| find(what).map(|text| parse_members(what, text, &ask.terms)).transpose();
        let mut asked = Self {
            temporal,
            attrs,
            pick: members("pick")?,
            omit: members("omit")?.unwrap_or_default(),
            dataset_ids: find("datasetId").map(parse_dataset_ids).transpose()?.unwrap_or_default(),
            simplified: false,
            concise: false,
            sys_attrs: false,
            aggregation: None,
            lang,
        };
        let mut form = "normalized";
        // Of two forms the one in `format` counts (clause 6.3.7).
        for word in options(parameters).chain(find("format")) {
            match word {
                "sysAttrs" => asked.sys_attrs = true,
                "normalized" | "concise" | "temporalValues" | "simplified" | "aggregatedValues" => form = word,
                other => {
                    let detail = format!(
                        "\"{other}\" is not known; use normalized, concise, temporalValues, aggregatedValues or sysAttrs."
                    );
                    return Err(Problem::new(Kind::InvalidRequest, "NLD-001", detail));
                }
            }
        }
        asked.concise = form == "concise";
        asked.simplified = matches!(form, "temporalValues" | "simplified");
        if form == "aggregatedValues" {
            let methods = find("aggrMethods").unwrap_or_default().split(',');
            asked.aggregation = Some(parse_aggregation(methods, find("aggrPeriodDuration"))?);
        }
        asked.check()?;
        Ok(asked)
    }

    /// The same rules as for what is now.
    pub fn check(&self) -> Result<(), Problem> {
        let (attrs, pick, omit) = (self.attrs.clone(), self.pick.clone(), self.omit.clone());
        Projection { attrs, pick, omit, ..Projection::default() }.check()
    }

    pub fn shows(&self, name: &str) -> bool {
        self.pick.as_ref().is_none_or(|pick| pick.iter().any(|one| one.as_str() == name))
            && !self.omit.iter().any(|one| one.as_str() == name)
    }

    /// The attributes that are read: those asked for, or those picked.
    pub fn wanted(&self) -> &[Name] {
        match &self.pick {
            Some(_) if picks_member(self) => &[],
            Some(pick) => pick,
            None => &self.attrs,
        }
    }

    /// The same span of time, for conditions on what is not shown.
    pub fn all_attributes(&self) -> Self {
        Self {
            temporal: self.temporal.clone(),
            attrs: Vec::new(),
            pick: None,
            omit: Vec::new(),
            dataset_ids: Vec::new(),
            simplified: false,
            concise: false,
            sys_attrs: false,
            aggregation: None,
            lang: None,
        }
    }

    pub fn options(&self, ask: &Ask) -> TemporalOptions {
        TemporalOptions {
            hidden: ["@id", "@type", SCOPE].into_iter().filter(|member| !self.shows(member)).collect(),
            simplified: self.simplified,
            concise: self.concise,
            sys_attrs: self.sys_attrs,
            time_property: self.temporal.property,
            methods: self.aggregation.iter().flat_map(|one| one.methods.clone()).collect(),
            lang: self.lang.clone(),
            embed_context: ask.embeds_context(),
        }
    }
}

/// Whether a member that every entity has was picked.
pub fn picks_member(asked: &PastAsked) -> bool {
    let picks = |member: &str| asked.pick.iter().flatten().any(|name| name.as_str() == member);
    ["@id", "@type", SCOPE].into_iter().any(picks)
}
