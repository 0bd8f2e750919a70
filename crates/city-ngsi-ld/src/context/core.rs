//! The core contexts of NGSI-LD as facts: term and IRI (CIM 009 V1.9.1 annex B).
//!
//! Source: `ngsi-ld-core-context-v1.9.jsonld` as published at <https://uri.etsi.org/ngsi-ld/v1/>,
//! compared term by term with copies of versions 1.3, 1.4, 1.7 and 1.8. Annex B obliges every
//! implementation to support these terms; only the facts (term and IRI) are kept, no text of ETSI.
//!
//! The core context of the implementation is processed last, whatever version a request names
//! (clause 5.5.7), so an older version matters only for terms that 1.9 no longer has.

/// Namespace of the terms of the standard.
pub const NGSI_LD: &str = "https://uri.etsi.org/ngsi-ld/";
/// What a term expands with that no context defines (annex B, `@vocab`).
pub const DEFAULT_VOCAB: &str = "https://uri.etsi.org/ngsi-ld/default-context/";
/// The core context that is always in force here, and that answers name.
pub const CORE_URL: &str = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld";

/// All that has been published below this folder; any other name there does not exist.
const CORE_FOLDERS: [&str; 2] = ["https://uri.etsi.org/ngsi-ld/v1/", "http://uri.etsi.org/ngsi-ld/v1/"];
const CORE_FILES: [&str; 8] = [
    "ngsi-ld-core-context.jsonld",
    "ngsi-ld-core-context-v1.3.jsonld",
    "ngsi-ld-core-context-v1.4.jsonld",
    "ngsi-ld-core-context-v1.5.jsonld",
    "ngsi-ld-core-context-v1.6.jsonld",
    "ngsi-ld-core-context-v1.7.jsonld",
    "ngsi-ld-core-context-v1.8.jsonld",
    "ngsi-ld-core-context-v1.9.jsonld",
];

/// Terms of older versions that 1.9 dropped: version, term, IRI.
const DROPPED_TERMS: [(&str, &str, &str); 2] = [
    ("-v1.7.", "VocabularyProperty", "https://uri.etsi.org/ngsi-ld/VocabularyProperty"),
    ("-v1.8.", "objectsLists", "https://uri.etsi.org/ngsi-ld/hasObjectsLists"),
];

/// Whether a URL names a core context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreUrl {
    /// It does; these terms of it are not in 1.9.
    Published(Option<(&'static str, &'static str)>),
    /// It stands where core contexts stand, but was never published.
    Unpublished,
    Other,
}

#[must_use]
pub fn core_url(url: &str) -> CoreUrl {
    let Some(file) = CORE_FOLDERS.iter().find_map(|folder| url.strip_prefix(folder)) else {
        return CoreUrl::Other;
    };
    match CORE_FILES.contains(&file) {
        true => CoreUrl::Published(
            DROPPED_TERMS.iter().find(|(version, ..)| file.contains(version)).map(|(_, term, iri)| (*term, *iri)),
        ),
        false => CoreUrl::Unpublished,
    }
}

/// Every term of the core context with its IRI, keywords included.
pub fn core_terms() -> impl Iterator<Item = (&'static str, std::borrow::Cow<'static, str>)> {
    let own = OWN_TERMS.split_whitespace().map(|term| (term, format!("{NGSI_LD}{term}").into()));
    own.chain(OTHER_TERMS.iter().map(|(term, iri)| (*term, (*iri).into())))
}

/// Terms whose IRI is the namespace and the term itself.
const OWN_TERMS: &str = "\
    Attribute AttributeList ContextSourceIdentity ContextSourceNotification ContextSourceRegistration Date \
    DateTime EntityMap EntityType EntityTypeInfo EntityTypeList ExecutionResultDetails GeoProperty \
    JsonProperty LanguageProperty ListProperty ListRelationship Notification Property Relationship Snapshot \
    SnapshotNotification Subscription TemporalProperty Time VocabProperty accept aggrParams aggrMethods \
    aggrPeriodDuration attributeCount attributeDetails attributeList attributeName attributeNames \
    attributeTypes attributes attrs avg cacheDuration collation contextSourceAlias contextSourceExtras \
    contextSourceInfo contextSourceTimeAt contextSourceUptime cooldown createdAt csf data datasetId deletedAt \
    detail distinctCount endAt endTimeAt endpoint entities entity entityCount entityId entityList error \
    errors expandValues expiresAt format geoQ geoproperty georel idPattern information instanceId isActive \
    join jsonKeys jsonldContext jsons lang lastFailure lastN lastNotification lastSuccess lastUsedAt \
    linkedMaps localOnly location management managementInterval max min mode modifiedAt ngsildproof \
    ngsildConformance notification notificationTrigger notifiedAt notifierInfo notUpdated observationInterval \
    observationSpace observedAt omit operations operationSpace orderBy ordering pick problemDetails \
    propertyNames q reason receiverInfo refreshRate registrationId registrationName relationshipNames \
    resultStatus scope scopeQ showChanges snapshotId snapshotLifetime snapshotPriority snapshotQueries \
    snapshotQueriesDetails snapshotStatus snapshotTemporalQueries snapshotTemporalQueriesDetails startAt \
    status stddev subscriptionId subscriptionName success sum sumsq sysAttrs temporalQ tenant throttling \
    timeAt timeInterval timeout timeproperty timerel timesFailed timesSent totalCount triggerReason typeList \
    typeName typeNames unchanged unitCode updated uri watchedAttributes";

/// All other terms.
const OTHER_TERMS: [(&str, &str); 50] = [
    ("ngsi-ld", "https://uri.etsi.org/ngsi-ld/"),
    ("geojson", "https://purl.org/geojson/vocab#"),
    ("id", "@id"),
    ("type", "@type"),
    ("Feature", "https://purl.org/geojson/vocab#Feature"),
    ("FeatureCollection", "https://purl.org/geojson/vocab#FeatureCollection"),
    ("GeometryCollection", "https://purl.org/geojson/vocab#GeometryCollection"),
    ("LineString", "https://purl.org/geojson/vocab#LineString"),
    ("MultiLineString", "https://purl.org/geojson/vocab#MultiLineString"),
    ("MultiPoint", "https://purl.org/geojson/vocab#MultiPoint"),
    ("MultiPolygon", "https://purl.org/geojson/vocab#MultiPolygon"),
    ("Point", "https://purl.org/geojson/vocab#Point"),
    ("Polygon", "https://purl.org/geojson/vocab#Polygon"),
    ("bbox", "https://purl.org/geojson/vocab#bbox"),
    ("containedBy", "https://uri.etsi.org/ngsi-ld/isContainedBy"),
    ("coordinates", "https://purl.org/geojson/vocab#coordinates"),
    ("dataset", "https://uri.etsi.org/ngsi-ld/hasDataset"),
    ("description", "http://purl.org/dc/terms/description"),
    ("entityMap", "https://uri.etsi.org/ngsi-ld/hasEntityMap"),
    ("entityMapLifetime", "https://uri.etsi.org/ngsi-ld/hasEntityMapLifetime"),
    ("features", "https://purl.org/geojson/vocab#features"),
    ("geometry", "https://purl.org/geojson/vocab#geometry"),
    ("joinLevel", "https://uri.etsi.org/ngsi-ld/hasJoinLevel"),
    ("json", "https://uri.etsi.org/ngsi-ld/hasJSON"),
    ("key", "https://uri.etsi.org/ngsi-ld/hasKey"),
    ("languageMap", "https://uri.etsi.org/ngsi-ld/hasLanguageMap"),
    ("languageMaps", "https://uri.etsi.org/ngsi-ld/hasLanguageMaps"),
    ("langString", "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString"),
    ("object", "https://uri.etsi.org/ngsi-ld/hasObject"),
    ("objectList", "https://uri.etsi.org/ngsi-ld/hasObjectList"),
    ("objectLists", "https://uri.etsi.org/ngsi-ld/hasObjectLists"),
    ("objects", "https://uri.etsi.org/ngsi-ld/hasObjects"),
    ("objectType", "https://uri.etsi.org/ngsi-ld/hasObjectType"),
    ("previousJson", "https://uri.etsi.org/ngsi-ld/hasPreviousJson"),
    ("previousLanguageMap", "https://uri.etsi.org/ngsi-ld/hasPreviousLanguageMap"),
    ("previousObject", "https://uri.etsi.org/ngsi-ld/hasPreviousObject"),
    ("previousObjectList", "https://uri.etsi.org/ngsi-ld/hasPreviousObjectList"),
    ("previousValue", "https://uri.etsi.org/ngsi-ld/hasPreviousValue"),
    ("previousValueList", "https://uri.etsi.org/ngsi-ld/hasPreviousValueList"),
    ("previousVocab", "https://uri.etsi.org/ngsi-ld/hasPreviousVocab"),
    ("properties", "https://purl.org/geojson/vocab#properties"),
    ("splitEntities", "https://uri.etsi.org/ngsi-ld/hasSplitEntities"),
    ("title", "http://purl.org/dc/terms/title"),
    ("value", "https://uri.etsi.org/ngsi-ld/hasValue"),
    ("valueList", "https://uri.etsi.org/ngsi-ld/hasValueList"),
    ("valueLists", "https://uri.etsi.org/ngsi-ld/hasValueLists"),
    ("values", "https://uri.etsi.org/ngsi-ld/hasValues"),
    ("valueType", "https://uri.etsi.org/ngsi-ld/hasValueType"),
    ("vocab", "https://uri.etsi.org/ngsi-ld/hasVocab"),
    ("vocabs", "https://uri.etsi.org/ngsi-ld/hasVocabs"),
];
