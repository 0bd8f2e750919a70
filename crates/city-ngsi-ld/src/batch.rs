//! What came of a batch, entity by entity (clauses 5.2.16, 5.2.17), and of an update of attributes
//! (5.2.18, 5.2.19).

use crate::json::{self, ObjectWriter};
use crate::problem::Problem;

/// BatchOperationResult, the body of a 207.
#[must_use]
pub fn render_batch_result<'r>(
    success: impl IntoIterator<Item = &'r str>,
    errors: impl IntoIterator<Item = (&'r str, &'r Problem)>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut object = ObjectWriter::open(&mut out);
    json::write_list(object.key("success"), success, json::write_text);
    json::write_list(object.key("errors"), errors, |out, (id, problem)| {
        let mut error = ObjectWriter::open(out);
        error.text("entityId", id);
        problem.write(error.key("error"));
        error.close();
    });
    object.close();
    out
}

/// The ids that a batch created: the body of a 201.
#[must_use]
pub fn render_ids<'r>(ids: impl IntoIterator<Item = &'r str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    json::write_list(&mut out, ids, json::write_text);
    out
}

/// UpdateResult: names of attributes that were updated, and those that were not with the reason.
#[must_use]
pub fn render_update_result<'r>(
    updated: impl IntoIterator<Item = &'r str>,
    not_updated: impl IntoIterator<Item = (&'r str, &'r str)>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut object = ObjectWriter::open(&mut out);
    json::write_list(object.key("updated"), updated, json::write_text);
    json::write_list(object.key("notUpdated"), not_updated, |out, (name, reason)| {
        let mut entry = ObjectWriter::open(out);
        entry.text("attributeName", name);
        entry.text("reason", reason);
        entry.close();
    });
    object.close();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::ProblemType;

    #[test]
    fn a_batch_result_lists_what_worked_and_what_did_not() {
        let gone = Problem::new(ProblemType::ResourceNotFound, "CTX-002", "Entity urn:x:2 does not exist.");
        let body = render_batch_result(["urn:x:1"], [("urn:x:2", &gone)]);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["success"][0], "urn:x:1");
        assert_eq!(body["errors"][0]["entityId"], "urn:x:2");
        assert_eq!(body["errors"][0]["error"]["type"], "https://uri.etsi.org/ngsi-ld/errors/ResourceNotFound");
    }
}
