//! Answers kept under the key that a caller gave with a request (`Idempotency-Key`).
//!
//! What came of a request goes into the same sync as its changes; the same key within a day gets
//! the same answer and changes nothing.

use city_model::{Applied, DatasetId, EntityId, Name, Rejected, Time};
use city_store::Error;
use city_store::codec::{Reader, Writer};

/// How long an answer is kept, in microseconds: a day.
pub const ANSWER_AGE_MICROS_MAX: i64 = 24 * 3_600 * 1_000_000;
/// Longest key that is taken.
pub const KEY_BYTES_MAX: usize = 255;

pub type Results = Vec<Result<Applied, Rejected>>;

/// The key of a request, apart from the same text of another holder.
#[must_use]
pub fn of_holder(who: &str, key: &str) -> Box<str> {
    // Length before text, so that no two (who, key) pairs read the same.
    format!("{}:{who}:{key}", who.len()).into()
}

/// Key of an answer in the view.
#[must_use]
pub fn request_key(tenant: u32, key: &str) -> Vec<u8> {
    let mut bytes = tenant.to_be_bytes().to_vec();
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// `None` where an answer is better given afresh: nothing was changed by it.
#[must_use]
pub fn encode(time: Time, results: &Results) -> Option<Vec<u8>> {
    let mut out = Writer::default();
    out.int(time.as_micros());
    out.uint(results.len() as u64);
    for result in results {
        match result {
            Ok(applied) => {
                out.u8(0);
                out.uint(applied.seq.map_or(0, |seq| seq));
                out.u8(u8::from(applied.created));
                out.uint(applied.updated.len() as u64);
                applied.updated.iter().for_each(|name| out.text(name.as_str()));
                out.uint(applied.not_updated.len() as u64);
                for (name, why) in &applied.not_updated {
                    out.text(name.as_str());
                    out.text(why);
                }
            }
            Err(Rejected::AlreadyExists(id)) => {
                out.u8(1);
                out.text(id.as_str());
            }
            Err(Rejected::EntityNotFound(id)) => {
                out.u8(2);
                out.text(id.as_str());
            }
            Err(Rejected::AttributeNotFound { entity, attribute, dataset }) => {
                out.u8(3);
                out.text(entity.as_str());
                out.text(attribute.as_str());
                out.option(dataset.as_ref().map(|dataset| dataset.as_str().as_bytes()));
            }
            Err(Rejected::Invalid(why)) => {
                out.u8(4);
                out.text(why);
            }
            Err(Rejected::Forbidden(why)) => {
                out.u8(5);
                out.text(why);
            }
            Err(_) => return None,
        }
    }
    Some(out.bytes)
}

/// When the answer was given, and what it was.
pub fn decode(bytes: &[u8]) -> Result<(Time, Results), Error> {
    let mut from = Reader::new(bytes);
    let time = Time::from_micros(from.int()?);
    let count = from.uint()?;
    let mut results = Vec::new();
    for _ in 0..count {
        results.push(match from.u8()? {
            0 => {
                let seq = Some(from.uint()?).filter(|seq| *seq > 0);
                let created = from.u8()? == 1;
                let updated = (0..from.uint()?).map(|_| name(&mut from)).collect::<Result<_, Error>>()?;
                let not_updated = (0..from.uint()?)
                    .map(|_| Ok((name(&mut from)?, from.text()?.to_owned().into())))
                    .collect::<Result<_, Error>>()?;
                Ok(Applied { seq, created, updated, not_updated })
            }
            1 => Err(Rejected::AlreadyExists(id(&mut from)?)),
            2 => Err(Rejected::EntityNotFound(id(&mut from)?)),
            3 => {
                let (entity, attribute) = (id(&mut from)?, name(&mut from)?);
                let dataset = from.option()?.map(std::str::from_utf8).transpose();
                let dataset = dataset.map_err(|_| Error::Undecodable("a dataset id is not UTF-8".to_owned()))?;
                let dataset = dataset.map(|text| DatasetId::from_stored(text.into()));
                Err(Rejected::AttributeNotFound { entity, attribute, dataset })
            }
            4 => Err(Rejected::Invalid(from.text()?.to_owned())),
            5 => Err(Rejected::Forbidden(from.text()?.to_owned())),
            _ => return Err(Error::Undecodable("an answer has an unknown tag".to_owned())),
        });
    }
    Ok((time, results))
}

fn name(from: &mut Reader) -> Result<Name, Error> {
    Ok(Name::from_stored(from.text()?.into()))
}

fn id(from: &mut Reader) -> Result<EntityId, Error> {
    Ok(EntityId::from_stored(from.text()?.into()))
}
