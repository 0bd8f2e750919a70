//! From a record to the view: the same writes when it happens and when it is replayed.

use city_model::Time;
use city_store::record::{RecordKind, definition_key};
use city_store::{Record, Space, ViewBatch};

use crate::image::{Stamp, identity_key, instance_key, past_identity_key, stamp_key};
use crate::persons::person_key;

/// Adds what a record at `lsn` changes in the view.
pub fn project(record: &Record, lsn: u64, writes: &mut ViewBatch) {
    let (tenant, branch, entity) = (record.tenant, record.branch, record.entity);
    if let Some(name) = &record.tenant_name {
        writes.put(Space::Tenants, tenant.to_be_bytes(), name.as_bytes());
    }
    for (number, name) in &record.terms {
        let mut key = tenant.to_be_bytes().to_vec();
        key.extend_from_slice(&number.0.to_be_bytes());
        writes.put(Space::Terms, key, name.as_bytes());
    }
    writes.put(Space::Meta, seq_key(tenant), &encode_position(record.seq, record.time));
    if entity != 0 && record.previous_seq == 0 {
        let mut key = tenant.to_be_bytes().to_vec();
        key.extend_from_slice(&entity.to_be_bytes());
        writes.put(Space::Ids, key, record.entity_id.as_bytes());
    }
    match record.kind {
        RecordKind::State => {
            if let Some(identity) = &record.identity {
                match (&identity.before, &identity.after) {
                    (_, Some(after)) => {
                        writes.put(Space::State, identity_key(tenant, branch, entity), after);
                        writes.delete(Space::State, past_identity_key(tenant, branch, entity));
                    }
                    (Some(before), None) => {
                        writes.delete(Space::State, identity_key(tenant, branch, entity));
                        writes.put(Space::State, past_identity_key(tenant, branch, entity), before);
                    }
                    (None, None) => {}
                }
            }
            for touched in &record.touched {
                let key = instance_key(tenant, branch, entity, touched.attribute, touched.dataset);
                match &touched.change.after {
                    Some(after) => writes.put(Space::State, key, after),
                    None => writes.delete(Space::State, key),
                }
            }
            let stamp = Stamp { modified_at: record.time, seq: record.seq, lsn };
            writes.put(Space::State, stamp_key(tenant, branch, entity), &stamp.encode());
        }
        RecordKind::Past => {
            if let Some(identity) = &record.identity {
                match &identity.after {
                    Some(after) => writes.put(Space::State, past_identity_key(tenant, branch, entity), after),
                    None => writes.delete(Space::State, past_identity_key(tenant, branch, entity)),
                }
            }
        }
        RecordKind::Definition => {
            if let Some(definition) = &record.definition {
                let key = definition_key(tenant, definition.kind, &definition.id);
                match &definition.change.after {
                    Some(after) => writes.put(Space::Definitions, key, after),
                    None => writes.delete(Space::Definitions, key),
                }
            }
        }
        RecordKind::Also | RecordKind::Note => {}
    }
    if let Some(sealed) = record.touched.iter().find(|touched| touched.key_id != 0 && touched.change.after.is_some()) {
        writes.put(Space::Persons, person_key(tenant, entity), &sealed.key_id.to_be_bytes());
    }
    for also in &record.also {
        match &also.value {
            Some(value) => writes.put(also.space, also.key.to_vec(), value),
            None => writes.delete(also.space, also.key.to_vec()),
        }
    }
}

const SEQ_PREFIX: &[u8] = b"seq:";

/// Where the last position of a tenant stands.
#[must_use]
pub fn seq_key(tenant: u32) -> Vec<u8> {
    let mut key = SEQ_PREFIX.to_vec();
    key.extend_from_slice(&tenant.to_be_bytes());
    key
}

fn encode_position(seq: u64, time: Time) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&seq.to_le_bytes());
    bytes[8..].copy_from_slice(&time.as_micros().to_le_bytes());
    bytes
}

#[must_use]
pub fn decode_position(bytes: &[u8]) -> Option<(u64, Time)> {
    let seq = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let micros = i64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
    Some((seq, Time::from_micros(micros)))
}
