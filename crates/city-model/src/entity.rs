//! Entities and their attributes (CIM 009 clause 4.2, 4.5).

use std::collections::BTreeMap;

use crate::geometry::Geometry;
use crate::name::{DatasetId, EntityId, Name, Scope};
use crate::time::Time;
use crate::value::Value;

/// One thing of the city, with all that is known of it now.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    pub id: EntityId,
    /// At least one in a stored entity; may be empty in a fragment.
    pub types: Vec<Name>,
    pub scopes: Vec<Scope>,
    /// In order of arrival; names are unique.
    pub attributes: Vec<Attribute>,
    pub created_at: Time,
    pub modified_at: Time,
}

/// All instances of one attribute; they differ in `dataset`.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    pub name: Name,
    pub instances: Vec<Instance>,
}

/// One statement about an entity. In a temporal fragment an attribute has one instance per reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// `None` is the default instance.
    pub dataset: Option<DatasetId>,
    pub kind: Kind,
    pub observed_at: Option<Time>,
    /// UN/CEFACT code (Properties only).
    pub unit_code: Option<Box<str>>,
    pub created_at: Time,
    pub modified_at: Time,
    /// Set only in temporal representations of something deleted.
    pub deleted_at: Option<Time>,
    pub class: DataClass,
    /// Properties of properties, and so on (clause 4.5.2).
    pub sub_attributes: Vec<Attribute>,
}

/// What kind of attribute it is, with its value (clauses 4.5.2 to 4.5.24).
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Property(Value),
    /// A text or a list of texts, each a URI; with the types of the targets where they are given.
    Relationship {
        object: Value,
        object_types: Vec<Name>,
    },
    GeoProperty(Geometry),
    /// Language tag to text or list of texts.
    LanguageProperty(Vec<(Box<str>, Value)>),
    /// Expanded terms: a text or a list.
    VocabProperty(Value),
    /// Raw JSON that is not expanded.
    JsonProperty(Value),
    ListProperty(Vec<Value>),
    /// Each item a URI text.
    ListRelationship {
        objects: Vec<Value>,
        object_types: Vec<Name>,
    },
    /// Only in fragments: "delete this" (NGSI-LD Null, clause 4.5.0).
    Null,
    /// Only in fragments: no value was given, so the stored one stays (5.5.8, 5.5.12).
    Unchanged,
}

/// Of which class the values of attributes are, where that was said.
pub type Classes = BTreeMap<Name, DataClass>;

/// What a value is about, which decides how it is kept and who may read it (S5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DataClass {
    Environment,
    #[default]
    Infrastructure,
    Behaviour,
    Personal,
}

impl DataClass {
    pub const ALL: [Self; 4] = [Self::Environment, Self::Infrastructure, Self::Behaviour, Self::Personal];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Infrastructure => "infrastructure",
            Self::Behaviour => "behaviour",
            Self::Personal => "personal",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }

    /// Whether it is read for a purpose alone, and each reading is accounted for.
    #[must_use]
    pub fn is_sensitive(self) -> bool {
        matches!(self, Self::Behaviour | Self::Personal)
    }
}

impl Entity {
    #[must_use]
    pub fn new(id: EntityId, types: Vec<Name>) -> Self {
        Self {
            id,
            types,
            scopes: Vec::new(),
            attributes: Vec::new(),
            created_at: Time::UNSET,
            modified_at: Time::UNSET,
        }
    }

    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name.as_str() == name)
    }

    #[must_use]
    pub fn has_type(&self, name: &str) -> bool {
        self.types.iter().any(|own| own.as_str() == name)
    }
}

impl Attribute {
    #[must_use]
    pub fn new(name: Name, instance: Instance) -> Self {
        Self { name, instances: vec![instance] }
    }

    #[must_use]
    pub fn find(&self, dataset: Option<&DatasetId>) -> Option<&Instance> {
        self.instances.iter().find(|instance| instance.dataset.as_ref() == dataset)
    }

    /// The default instance, or the first one where there is no default.
    #[must_use]
    pub fn default_instance(&self) -> Option<&Instance> {
        self.find(None).or_else(|| self.instances.first())
    }
}

impl Instance {
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            dataset: None,
            kind,
            observed_at: None,
            unit_code: None,
            created_at: Time::UNSET,
            modified_at: Time::UNSET,
            deleted_at: None,
            class: DataClass::default(),
            sub_attributes: Vec::new(),
        }
    }

    #[must_use]
    pub fn sub_attribute(&self, name: &str) -> Option<&Attribute> {
        self.sub_attributes.iter().find(|attribute| attribute.name.as_str() == name)
    }

    /// Whether a fragment asks for this instance to be deleted.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Null => true,
            Kind::Property(value) | Kind::VocabProperty(value) | Kind::JsonProperty(value) => value.is_ngsi_ld_null(),
            Kind::Relationship { object, .. } => object.is_ngsi_ld_null(),
            Kind::LanguageProperty(map) => {
                matches!(map.as_slice(), [(tag, value)] if &**tag == "@none" && value.is_ngsi_ld_null())
            }
            Kind::ListProperty(list) | Kind::ListRelationship { objects: list, .. } => {
                matches!(list.as_slice(), [only] if only.is_ngsi_ld_null())
            }
            Kind::GeoProperty(_) | Kind::Unchanged => false,
        }
    }
}

impl Kind {
    /// The standard's name of the kind, as in the member `type`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Property(_) => "Property",
            Self::Relationship { .. } => "Relationship",
            Self::GeoProperty(_) => "GeoProperty",
            Self::LanguageProperty(_) => "LanguageProperty",
            Self::VocabProperty(_) => "VocabProperty",
            Self::JsonProperty(_) => "JsonProperty",
            Self::ListProperty(_) => "ListProperty",
            Self::ListRelationship { .. } => "ListRelationship",
            Self::Null => "Null",
            Self::Unchanged => "Unchanged",
        }
    }

    /// The URIs that a relationship points to.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        let targets: &[Value] = match self {
            Self::Relationship { object: Value::List(list), .. } | Self::ListRelationship { objects: list, .. } => list,
            Self::Relationship { object, .. } => std::slice::from_ref(object),
            _ => &[],
        };
        targets.iter().filter_map(Value::as_text)
    }
}
