//! Certificate and key of the server: read from the files that are named, and again when they change.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use city_serve::Tls;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where certificate and key lie.
#[derive(Debug, Clone)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    fn read(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    fn changed_at(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
    }

    pub fn open(&self) -> Result<Tls> {
        let (certificate, key) = self.read()?;
        Tls::new(&certificate, &key)
            .with_context(|| format!("In {} or {}", self.certificate.display(), self.key.display()))
    }

    /// Renewed files are taken in without a restart; while they are no good, the old ones stay in use.
    pub async fn follow(self, tls: Tls) {
        let mut known = self.changed_at();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.changed_at();
            if now == known {
                continue;
            }
            let taken = self.read().and_then(|(certificate, key)| Ok(tls.replace(&certificate, &key)?));
            match taken {
                Ok(()) => {
                    known = now;
                    tracing::info!(certificate = %self.certificate.display(), "the certificate was renewed");
                }
                // Half of a renewal may be there; it is looked at again.
                Err(error) => tracing::warn!(%error, "the renewed certificate cannot be used; the old one stays"),
            }
        }
    }
}
