//! Public warnings of agencies: bytes come in and typed values go out; alerts come in and bytes go out.
//!
//! Pure: no network, no disk, no clock. `cap` is the Common Alerting Protocol of OASIS, `jma` the disaster XML of
//! the Japan Meteorological Agency. Both stand on `xml`, which reads a bounded document and expands nothing.
//!
//! For whoever hands in broken input: `xml::read`, `cap::read`, `jma::read` and then `Report::rows` take any bytes
//! and answer with a value or an error.

pub mod cap;
pub mod jma;
pub mod xml;
