//! Looking at what exists on the engine, and what was last seen there, for the time in which
//! it is away.

use crate::Error;
use crate::clock::now_ms;
use doprax_core::copy::CopyName;
use doprax_core::name::AppName;
use doprax_core::observed::{Observed, ObservedContainer};
use doprax_engine::Engine;
use doprax_store::AppRecord;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was last seen of every app.
#[derive(Default)]
struct Seen(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    apps: BTreeMap<AppName, Observed>,
    /// Whether all apps were looked at, so that one that is not there has nothing.
    all: bool,
    /// Since when the engine does not answer, in Unix time in milliseconds.
    away_since_ms: Option<i64>,
}

/// What is known of what exists.
pub(crate) struct Sight<T> {
    /// As it is, or as it was when the engine answered last.
    pub(crate) known: T,
    /// Since when the engine is away, in Unix time in milliseconds; absent: it answers.
    pub(crate) away_since_ms: Option<i64>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what all apps have.
    fn all(&self, apps: &BTreeMap<AppName, Observed>) {
        let mut seen = self.lock();
        seen.apps.clone_from(apps);
        (seen.all, seen.away_since_ms) = (true, None);
    }

    fn one(&self, app: &AppName, observed: &Observed) {
        let mut seen = self.lock();
        seen.away_since_ms = None;
        if *observed == Observed::default() {
            seen.apps.remove(app);
        } else {
            seen.apps.insert(app.clone(), observed.clone());
        }
    }

    /// Notes that the engine is away, if that is what the error says. Returns since when.
    fn missed(&self, error: &doprax_engine::Error) -> Option<i64> {
        matches!(error, doprax_engine::Error::Unreachable { .. })
            .then(|| *self.lock().away_since_ms.get_or_insert_with(now_ms))
    }

    fn last(&self, app: &AppName) -> Option<Observed> {
        let seen = self.lock();
        let found = seen.apps.get(app).cloned();
        found.or_else(|| seen.all.then(Observed::default))
    }
}

/// Looks at the engine, and remembers what it saw.
pub(crate) struct Observer {
    engine: Arc<dyn Engine>,
    seen: Seen,
}

impl Observer {
    /// One that has seen nothing.
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        let seen = Seen::default();
        Self { engine, seen }
    }

    /// Takes in what all apps have.
    pub(crate) fn know(&self, apps: &BTreeMap<AppName, Observed>) {
        self.seen.all(apps);
    }

    /// Notes that the engine is away, if that is what the error says. Returns since when.
    pub(crate) fn missed(&self, error: &doprax_engine::Error) -> Option<i64> {
        self.seen.missed(error)
    }

    /// What the engine has of an app, volumes that somebody brought back among it.
    pub(crate) async fn of(&self, record: &AppRecord) -> Result<Observed, Error> {
        let mut observed = self.look_at(&record.name).await?;
        self.find_returned(record, &mut observed).await?;
        Ok(observed)
    }

    /// Adds the volumes that the engine has and its list does not tell of: somebody
    /// brought them back by hand.
    pub(crate) async fn find_returned(
        &self,
        record: &AppRecord,
        observed: &mut Observed,
    ) -> Result<(), Error> {
        for volume in &record.made_volumes {
            if !observed.volumes.contains(volume)
                && self.engine.has_volume(&record.name, volume).await?
            {
                observed.volumes.insert(volume.clone());
            }
        }
        Ok(())
    }

    /// What exists of one app.
    pub(crate) async fn look_at(&self, app: &AppName) -> Result<Observed, Error> {
        match self.engine.observe(app).await {
            Ok(observed) => {
                self.seen.one(app, &observed);
                Ok(observed)
            }
            Err(error) => {
                self.seen.missed(&error);
                Err(error.into())
            }
        }
    }

    /// What exists of every app.
    pub(crate) async fn look_at_all(&self) -> Result<BTreeMap<AppName, Observed>, Error> {
        match self.engine.observe_all().await {
            Ok(apps) => {
                self.seen.all(&apps);
                Ok(apps)
            }
            Err(error) => {
                self.seen.missed(&error);
                Err(error.into())
            }
        }
    }

    /// What exists of one app; nothing where the engine is away and it was never seen.
    pub(crate) async fn sight(&self, record: &AppRecord) -> Result<Sight<Option<Observed>>, Error> {
        match self.of(record).await {
            Ok(observed) => Ok(Sight {
                known: Some(observed),
                away_since_ms: None,
            }),
            Err(error) => Ok(Sight {
                away_since_ms: Some(self.away(error)?),
                known: self.seen.last(&record.name),
            }),
        }
    }

    /// What exists of each of these apps, of those that were ever seen.
    pub(crate) async fn sight_of(
        &self,
        records: &[AppRecord],
    ) -> Result<Sight<BTreeMap<AppName, Observed>>, Error> {
        let away_since_ms = match self.look_at_all().await {
            Ok(_) => None,
            Err(error) => Some(self.away(error)?),
        };
        let mut known = BTreeMap::new();
        for record in records {
            let Some(mut observed) = self.seen.last(&record.name) else {
                continue;
            };
            if away_since_ms.is_none() {
                self.find_returned(record, &mut observed).await?;
            }
            known.insert(record.name.clone(), observed);
        }
        Ok(Sight {
            known,
            away_since_ms,
        })
    }

    /// Since when the engine is away; the error where that is not what it says.
    fn away(&self, error: Error) -> Result<i64, Error> {
        match error {
            Error::Engine(error) => match self.seen.missed(&error) {
                Some(since) => Ok(since),
                None => Err(error.into()),
            },
            error => Err(error),
        }
    }
}

/// The copy of each container that has its name.
pub(crate) fn serving(observed: &Observed) -> BTreeMap<&str, &ObservedContainer> {
    observed
        .containers
        .iter()
        .filter(|copy| copy.name == CopyName::serving(&copy.service))
        .map(|copy| (copy.service.as_str(), copy))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use doprax_core::observed::Network;

    fn app(name: &str) -> AppName {
        AppName::new(name).unwrap()
    }

    fn something() -> Observed {
        let subnet = "10.200.0.0/23".parse().unwrap();
        Observed {
            network: Some(Network { subnet }),
            ..Observed::default()
        }
    }

    #[test]
    fn what_was_last_seen_of_an_app_is_known() {
        let seen = Seen::default();
        assert_eq!(seen.last(&app("shop")), None, "nothing was seen yet");
        seen.one(&app("shop"), &something());
        assert_eq!(seen.last(&app("shop")), Some(something()));
        assert_eq!(seen.last(&app("blog")), None, "others were not looked at");
        seen.one(&app("shop"), &Observed::default());
        assert_eq!(seen.last(&app("shop")), None);

        seen.all(&BTreeMap::from([(app("blog"), something())]));
        assert_eq!(seen.last(&app("blog")), Some(something()));
        assert_eq!(seen.last(&app("shop")), Some(Observed::default()));
        seen.one(&app("blog"), &Observed::default());
        assert_eq!(seen.last(&app("blog")), Some(Observed::default()));
    }

    #[test]
    fn an_engine_is_away_from_the_first_miss_until_it_answers() {
        use doprax_engine::Error;
        let seen = Seen::default();
        let away = Error::Unreachable {
            address: "unix:///nowhere".to_owned(),
            source: Box::new(std::io::Error::other("no")),
        };
        let refused = Error::NoContainer {
            container: "a".to_owned(),
        };
        assert_eq!(seen.missed(&refused), None);
        assert_eq!(seen.lock().away_since_ms, None);
        let answers: [fn(&Seen); 2] = [
            |seen| seen.one(&app("shop"), &something()),
            |seen| seen.all(&BTreeMap::new()),
        ];
        for answer in answers {
            seen.missed(&away).unwrap();
            seen.lock().away_since_ms = Some(7);
            assert_eq!(seen.missed(&away), Some(7));
            assert_eq!(seen.missed(&refused), None);
            answer(&seen);
            assert_eq!(seen.lock().away_since_ms, None);
        }
    }
}
