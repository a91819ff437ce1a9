//! Telling of certificates: woken by what the issuer writes down, their states are compared
//! with those that were told before.

use crate::Host;
use doprax_core::change::Changed;
use doprax_core::name::AppName;
use doprax_ingress::acme::{Names, Phase};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long writes are gathered before it is looked: an order gives several.
const GATHER: Duration = Duration::from_millis(250);

/// It is looked at least as often: one expires without anything being written.
const LOOK: Duration = Duration::from_secs(60);

/// The state of each certificate, and whether the latest try for it failed.
type States = BTreeMap<Names, (Phase, bool)>;

impl Host {
    /// Tells of certificates until the host ends.
    pub(crate) async fn keep_telling_of_certificates(self: Arc<Self>) {
        let Some(certificates) = self.certificates_kept() else {
            return;
        };
        let written = certificates.written();
        let ending = self.ending().clone();
        let telling = async {
            let mut known = self.certificate_states();
            loop {
                let _ = tokio::time::timeout(LOOK, written.notified()).await;
                tokio::time::sleep(GATHER).await;
                let now = self.certificate_states();
                self.tell_of_certificates(&known, &now);
                known = now;
            }
        };
        ending.run_until_cancelled(telling).await;
    }

    fn certificate_states(&self) -> States {
        let all = self.certificates().into_iter();
        all.map(|found| (found.names, (found.phase, found.last_error.is_some())))
            .collect()
    }

    fn tell_of_certificates(&self, was: &States, now: &States) {
        for (names, what) in differences(was, now) {
            let app = self.app_of_names(names);
            self.events.tell(app.as_ref(), what);
        }
    }

    /// The app whose host name is among these.
    fn app_of_names(&self, names: &Names) -> Option<AppName> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut apps = routes.iter();
        let found = apps.find(|(app, routes)| {
            names.contains(&self.free_name(app))
                || routes.domains().keys().any(|name| names.contains(name))
        });
        found.map(|(app, _)| app.clone())
    }
}

fn differences<'a>(was: &'a States, now: &'a States) -> Vec<(&'a Names, Changed)> {
    let gone = was.keys().filter(|names| !now.contains_key(*names));
    let different = now.keys().chain(gone);
    different
        .filter(|names| was.get(names) != now.get(names))
        .map(|names| {
            let state = now.get(names);
            let what = Changed::Certificate {
                names: names.iter().map(str::to_owned).collect(),
                state: state.map(|(phase, _)| word(*phase).to_owned()),
                failing: state.is_some_and(|(_, failing)| *failing),
            };
            (names, what)
        })
        .collect()
}

/// The state in one word, as the API has it.
fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Missing => "missing",
        Phase::Issuing => "issuing",
        Phase::Valid => "valid",
        Phase::Renewing => "renewing",
        Phase::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_issued_fails_or_goes_is_told() {
        let names = |name: &str| Names::new([name]).unwrap();
        let was = States::from([
            (names("a.example"), (Phase::Issuing, false)),
            (names("b.example"), (Phase::Valid, false)),
            (names("c.example"), (Phase::Valid, false)),
        ]);
        let now = States::from([
            (names("a.example"), (Phase::Valid, false)),
            (names("b.example"), (Phase::Valid, false)),
            (names("d.example"), (Phase::Missing, true)),
        ]);
        let told: Vec<Changed> = differences(&was, &now).into_iter().map(|d| d.1).collect();
        let change = |name: &str, state: Option<&str>, failing| Changed::Certificate {
            names: vec![name.to_owned()],
            state: state.map(str::to_owned),
            failing,
        };
        let expected = [
            change("a.example", Some("valid"), false),
            change("d.example", Some("missing"), true),
            change("c.example", None, false),
        ];
        assert_eq!(told, expected);
    }
}
