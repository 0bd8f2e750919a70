//! The brokers of all tenants: opened when the server starts or a tenant's first client comes, and looked after.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use city_context::Error;
use city_model::{Owner, Permit, PermitSource, TenantName};
use city_mqtt::broker::Due;
use city_store::Space;
use city_store::record::AlsoWrite;
use tokio::sync::Mutex;

use super::rights::{Place, Rights};
use super::town::Town;
use crate::city::{City, cause};

/// How often sessions that are over are ended, and what waited for a sync is written.
const UPKEEP_EVERY: Duration = Duration::from_millis(500);
/// So many rounds, until every connection looks whether its token has ended.
const LOOK_ROUNDS: u32 = 60;

pub struct Towns {
    pub city: Arc<City>,
    towns: Mutex<HashMap<TenantName, Arc<Town>>>,
}

/// The brokers, once there are any: for whoever asks how they fare.
#[derive(Default)]
pub struct Messages(OnceLock<Weak<Towns>>);

impl Messages {
    /// Clients of a tenant for whom half as many messages wait as may, with how many.
    pub async fn filling(&self, tenant: &TenantName) -> Vec<(Arc<str>, usize)> {
        let Some(towns) = self.0.get().and_then(Weak::upgrade) else { return Vec::new() };
        let town = towns.towns.lock().await.get(tenant).cloned();
        town.map(|town| town.with(|broker| broker.filling())).unwrap_or_default()
    }
}

impl Towns {
    /// With the sessions of all tenants, so that they end in time also when nobody comes.
    pub async fn open(city: Arc<City>) -> Result<Arc<Self>, Error> {
        let towns = Arc::new(Self { city, towns: Mutex::default() });
        // The first one stays: a process has one.
        let _ = towns.city.messages.0.set(Arc::downgrade(&towns));
        for space in towns.city.context.tenants().list() {
            towns.town(&space.name, space.number).await?;
        }
        Ok(towns)
    }

    /// The town of whoever holds this permit; a tenant comes into being with it.
    pub async fn of(&self, permit: &Permit) -> Result<Arc<Town>, Error> {
        let tenant = permit.tenant();
        let number = match self.city.context.tenants().find(tenant) {
            Some(space) => space.number,
            None => {
                let key = format!("mqtt:{tenant}").into_bytes();
                let began = AlsoWrite { space: Space::Meta, key: key.into(), value: Some(Box::default()) };
                self.city.context.apply(permit, Vec::new(), cause("mqtt"), vec![began]).await?;
                let space = self.city.context.tenants().find(tenant);
                space.ok_or_else(|| Error::TenantNotFound(tenant.clone()))?.number
            }
        };
        self.town(tenant, number).await
    }

    async fn town(&self, tenant: &TenantName, number: u32) -> Result<Arc<Town>, Error> {
        let mut towns = self.towns.lock().await;
        if let Some(town) = towns.get(tenant) {
            return Ok(Arc::clone(town));
        }
        let town = Town::open(&self.city.context, tenant.clone(), number, self.city.now().as_micros())?;
        towns.insert(tenant.clone(), Arc::clone(&town));
        Ok(town)
    }

    async fn all(&self) -> Vec<Arc<Town>> {
        self.towns.lock().await.values().cloned().collect()
    }

    /// Looks after all of them until it is dropped.
    pub async fn keep_up(self: Arc<Self>) {
        let (mut epoch, mut round) = (self.city.trust.epoch(), 0);
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            round = (round + 1) % LOOK_ROUNDS;
            let before = std::mem::replace(&mut epoch, self.city.trust.epoch());
            let (mut sessions, mut waiting, mut retained) = (0, 0, 0);
            for town in self.all().await {
                self.keep_up_one(&town);
                // Who may was changed, or a token may have ended.
                if epoch != before || round == 0 {
                    town.wake_all();
                }
                town.with(|broker| {
                    sessions += broker.sessions();
                    waiting += broker.waiting();
                    retained += broker.retained();
                });
            }
            metrics::gauge!("renkei_mqtt_sessions").set(sessions as f64);
            metrics::gauge!("renkei_mqtt_waiting").set(waiting as f64);
            metrics::gauge!("renkei_mqtt_retained").set(retained as f64);
        }
    }

    fn keep_up_one(&self, town: &Town) {
        let now = self.city.now();
        for due in town.with(|broker| broker.upkeep(now.as_micros())) {
            self.say(town, due);
        }
        self.flush_one(town);
    }

    /// Writes what waits for a sync, so that it does not come again after a stop.
    pub async fn flush(&self) {
        self.all().await.iter().for_each(|town| self.flush_one(town));
    }

    fn flush_one(&self, town: &Town) {
        let own = self.city.trust.permit_of(&town.tenant, None, self.city.now());
        if let Some(permit) = own
            && let Err(error) = town.flush(&permit)
        {
            tracing::debug!(%error, "what messaging sessions hold is written a little later");
        }
    }

    /// A last word, as far as whoever left it may still say it.
    pub fn say(&self, town: &Town, due: Due) {
        let now = self.city.now();
        let owner = Owner { who: (*due.who).into(), purpose: None };
        let Some(permit) = self.city.trust.permit_of(&town.tenant, Some(&owner), now) else { return };
        if Rights::of(&self.city.trust, &permit).place(&due.message.topic) != Place::Topic {
            return;
        }
        if let Err(error) = town.say(&permit, due.message, now.as_micros()) {
            tracing::warn!(%error, "the last word of a client could not be published");
        }
    }
}
