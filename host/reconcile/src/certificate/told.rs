//! Telling of certificates: woken by what the issuer writes down, their states are compared
//! with those that were told before.

use super::{Certificates, Issuing};
use crate::events::Events;
use doprax_certificates::{Names, Phase};
use doprax_core::change::Changed;
use doprax_core::name::AppName;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How long writes are gathered before it is looked: an order gives several.
const GATHER: Duration = Duration::from_millis(250);

/// It is looked at least as often: one expires without anything being written.
const LOOK: Duration = Duration::from_secs(60);

/// How certificates stand.
type States = BTreeMap<Names, State>;

#[derive(Clone)]
struct State {
    phase: Phase,
    /// Whether the latest try for it failed.
    failing: bool,
    /// The app that has one of its names, or had it last.
    app: Option<AppName>,
}

/// Tells of certificates, again and again. `owners` says whose host names are.
pub(crate) async fn tell(
    certificates: &Certificates,
    events: &Events,
    owners: impl Fn() -> HashMap<String, AppName>,
) {
    let Some(issuing) = &certificates.issuing else {
        return;
    };
    let mut known = states(issuing, &owners(), &States::new());
    loop {
        let _ = tokio::time::timeout(LOOK, issuing.written.notified()).await;
        tokio::time::sleep(GATHER).await;
        let now = states(issuing, &owners(), &known);
        for (app, what) in differences(&known, &now) {
            events.tell(app, what);
        }
        known = now;
    }
}

/// How certificates stand. Whose a name `was` is known where no app has it any more.
fn states(issuing: &Issuing, owners: &HashMap<String, AppName>, was: &States) -> States {
    let all = issuing.status().into_iter().map(|found| {
        let owner = found.names.iter().find_map(|name| owners.get(name));
        let before = || was.get(&found.names)?.app.clone();
        let state = State {
            phase: found.phase,
            failing: found.last_error.is_some(),
            app: owner.cloned().or_else(before),
        };
        (found.names, state)
    });
    all.collect()
}

fn differences<'a>(was: &'a States, now: &'a States) -> Vec<(Option<&'a AppName>, Changed)> {
    let how = |states: &States, names: &Names| {
        let state = states.get(names);
        state.map(|state| (state.phase, state.failing))
    };
    let gone = was.iter().filter(|(names, _)| !now.contains_key(*names));
    now.iter()
        .chain(gone)
        .filter(|(names, _)| how(was, names) != how(now, names))
        .map(|(names, state)| {
            let how = how(now, names);
            let what = Changed::Certificate {
                names: names.iter().map(str::to_owned).collect(),
                state: how.map(|(phase, _)| word(phase).to_owned()),
                failing: how.is_some_and(|(_, failing)| failing),
            };
            (state.app.as_ref(), what)
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
        let shop = AppName::new("shop").unwrap();
        let state = |phase, failing| State {
            phase,
            failing,
            app: Some(shop.clone()),
        };
        let was = States::from([
            (names("a.example"), state(Phase::Issuing, false)),
            (names("b.example"), state(Phase::Valid, false)),
            (names("c.example"), state(Phase::Valid, false)),
        ]);
        let moved = State {
            app: None,
            ..state(Phase::Valid, false)
        };
        let now = States::from([
            (names("a.example"), state(Phase::Valid, false)),
            (names("b.example"), moved),
            (names("d.example"), state(Phase::Missing, true)),
        ]);
        let change = |name: &str, state: Option<&str>, failing| {
            let what = Changed::Certificate {
                names: vec![name.to_owned()],
                state: state.map(str::to_owned),
                failing,
            };
            (Some(&shop), what)
        };
        let expected = [
            change("a.example", Some("valid"), false),
            change("d.example", Some("missing"), true),
            change("c.example", None, false),
        ];
        assert_eq!(differences(&was, &now), expected);
    }
}
