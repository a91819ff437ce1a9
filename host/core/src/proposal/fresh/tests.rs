use super::*;

const BASE: &str = "docker.io/library/alpine:3";
const REDIS: &str = "docker.io/library/redis:7";

/// The engine has the image `id` of `BASE`, as its registry gave it out; main was built on it.
fn looked(id: &str, digests: &[&str]) -> Looked {
    let local = LocalImage {
        id: id.to_owned(),
        digests: digests.iter().map(|&digest| digest.to_owned()).collect(),
    };
    Looked {
        bases: [BASE.to_owned()].into(),
        local: BTreeMap::from([(BASE.to_owned(), local)]),
        said: BTreeMap::new(),
        built_on: BTreeMap::from([(BASE.to_owned(), "id-1".to_owned())]),
    }
}

fn saying(mut looked: Looked, reference: &str, said: Said) -> Looked {
    looked.said.insert(reference.to_owned(), said);
    looked
}

fn digest(digest: &str) -> Said {
    Said::Digest(digest.to_owned())
}

fn texts(fresh: &Fresh) -> Vec<&str> {
    fresh.notes.iter().map(|note| note.text.as_str()).collect()
}

#[test]
fn registries_are_asked_about_what_a_person_wants_anew() {
    let pinned = format!("{REDIS}@sha256:1");
    let services = || BTreeSet::from([REDIS, "absent", pinned.as_str()]);
    let present = [REDIS, &pinned].map(str::to_owned).into();
    let bases = [BASE.to_owned()].into();
    let asked = |refresh: Refresh| refresh.asked(services(), &present, &bases);
    assert_eq!(asked(Refresh::default()), [].into());
    assert_eq!(asked(Refresh::new(false, true, false)), [BASE].into());
    assert_eq!(
        asked(Refresh::new(true, false, false)),
        [BASE, REDIS].into()
    );
    let keep = Refresh {
        keep: true,
        ..Refresh::new(true, true, true)
    };
    assert_eq!(asked(keep), [].into());
}

#[test]
fn main_is_built_again_where_a_person_wants_it_or_its_base_is_another() {
    let same = looked("id-1", &["sha256:1"]);
    let [plain, build, uncached] = [
        Refresh::default(),
        Refresh::new(false, true, false),
        Refresh::new(false, false, true),
    ];
    let by_digest = Looked {
        built_on: BTreeMap::from([(BASE.to_owned(), "sha256:1".to_owned())]),
        ..looked("id-2", &["sha256:1"])
    };
    let unknown = Looked {
        built_on: BTreeMap::new(),
        ..looked("id-2", &["sha256:2"])
    };
    let nowhere = |said: Option<&str>, was: &str| Looked {
        local: BTreeMap::new(),
        said: said
            .map(|it| (BASE.to_owned(), digest(it)))
            .into_iter()
            .collect(),
        built_on: BTreeMap::from([(BASE.to_owned(), was.to_owned())]),
        ..looked("", &[])
    };
    for (refresh, is_built, looked, rebuild) in [
        (plain, true, &same, Rebuild::Never),
        (build, true, &same, Rebuild::Cached),
        (build, false, &same, Rebuild::Never),
        (uncached, true, &same, Rebuild::Uncached),
        (uncached, false, &same, Rebuild::Uncached),
        // The engine has another image of the reference than main was built on.
        (plain, true, &looked("id-2", &["sha256:2"]), Rebuild::Cached),
        (plain, false, &looked("id-2", &["sha256:2"]), Rebuild::Never),
        (plain, true, &by_digest, Rebuild::Never),
        (plain, true, &unknown, Rebuild::Never),
        // The registry has another one.
        (
            plain,
            true,
            &saying(same.clone(), BASE, digest("sha256:2")),
            Rebuild::Cached,
        ),
        (
            plain,
            true,
            &saying(same.clone(), BASE, digest("sha256:1")),
            Rebuild::Never,
        ),
        // Only the registry knows.
        (plain, true, &nowhere(None, "sha256:1"), Rebuild::Never),
        (
            plain,
            true,
            &nowhere(Some("sha256:1"), "sha256:1"),
            Rebuild::Never,
        ),
        (
            plain,
            true,
            &nowhere(Some("sha256:2"), "sha256:1"),
            Rebuild::Cached,
        ),
    ] {
        let fresh = Fresh::of(refresh, is_built, looked);
        assert_eq!(fresh.rebuild, rebuild, "{refresh:?} {is_built} {looked:?}");
        // Nobody is told why who asked for it.
        let told = rebuild == Rebuild::Cached && !refresh.build;
        let text = format!("is built again: {BASE} is another image than it was built on");
        let expected = if told {
            vec![text.as_str()]
        } else {
            Vec::new()
        };
        assert_eq!(texts(&fresh), expected, "{refresh:?} {is_built} {looked:?}");
    }
}

#[test]
fn what_a_registry_has_anew_is_pulled_and_its_silence_is_told() {
    let refresh = Refresh::new(true, false, false);
    let another = saying(looked("id-1", &["sha256:1"]), BASE, digest("sha256:2"));
    let fresh = Fresh::of(refresh, true, &another);
    let pulls = BTreeMap::from([(BASE.to_owned(), "sha256:2".to_owned())]);
    assert_eq!(fresh.pulls, pulls);
    assert_eq!(fresh.bases, BTreeMap::from([(BASE.to_owned(), None)]));

    for (said, reason) in [
        (Said::Nothing, "its registry does not have it for everybody"),
        (
            Said::NoAnswer("timeout".to_owned()),
            "its registry did not answer (timeout)",
        ),
    ] {
        let silent = saying(looked("id-1", &["sha256:1"]), BASE, said.clone());
        let fresh = Fresh::of(refresh, true, &silent);
        let text = format!("{BASE}: {reason}, so the image that the engine has counts");
        assert_eq!(texts(&fresh), [text]);
        assert_eq!((fresh.pulls.len(), fresh.rebuild), (0, Rebuild::Never));
        // Of an image that is nowhere, whoever needs it says what is wrong.
        let nowhere = saying(Looked::default(), REDIS, said);
        assert_eq!(texts(&Fresh::of(refresh, true, &nowhere)), [""; 0]);
    }
}

#[test]
fn what_only_the_registry_has_is_known_by_its_digest() {
    let nowhere = Looked {
        local: BTreeMap::new(),
        ..saying(looked("", &[]), BASE, digest("sha256:2"))
    };
    let fresh = Fresh::of(Refresh::new(true, false, false), false, &nowhere);
    let bases = BTreeMap::from([(BASE.to_owned(), Some("sha256:2".to_owned()))]);
    assert_eq!((fresh.bases, fresh.pulls.len()), (bases, 0));
}

#[test]
fn what_runs_goes_on_with_what_it_has() {
    let refresh = Refresh {
        keep: true,
        ..Refresh::new(true, true, true)
    };
    let another = saying(looked("id-2", &[]), BASE, digest("sha256:2"));
    assert_eq!(Fresh::of(refresh, true, &another), Fresh::default());
}
