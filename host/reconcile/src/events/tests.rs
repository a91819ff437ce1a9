use super::*;
use doprax_core::name::ServiceName;
use doprax_core::route::Target;
use doprax_core::status::{AppState, ContainerState, Status};
use futures_util::FutureExt as _;

fn app(name: &str) -> AppName {
    AppName::new(name).unwrap()
}

fn release(number: u64) -> Changed {
    Changed::Release { release: number }
}

fn at(start: u64, number: u64) -> Position {
    Position { start, number }
}

/// What a reader gets that does not wait.
fn read(events: &Arc<Events>, after: After, of: Option<&str>) -> Vec<Change> {
    let told = events.follow(after, of.map(app), false);
    let told = told.filter_map(async |told| match told {
        Told::Change(change) => Some((*change).clone()),
        Told::Nothing(_) => None,
    });
    told.collect::<Vec<_>>().now_or_never().unwrap()
}

/// Where a reader is told that it is.
fn place(reader: &mut BoxStream<'static, Told>) -> Position {
    match reader.next().now_or_never() {
        Some(Some(Told::Nothing(place))) => place,
        other => panic!("{other:?}"),
    }
}

fn numbers(changes: &[Change]) -> Vec<u64> {
    changes.iter().map(|change| change.id.number).collect()
}

#[test]
fn a_reader_that_comes_back_gets_what_it_has_not_seen() {
    let events = Arc::new(Events::new(5));
    for number in 1..=4 {
        events.tell(Some(&app("shop")), release(number));
    }
    assert_eq!(
        numbers(&read(&events, After::Beginning, None)),
        [1, 2, 3, 4]
    );
    let rest = read(&events, After::Position(at(5, 2)), None);
    assert_eq!(numbers(&rest), [3, 4]);
    assert_eq!(rest[0].what, release(3));
    assert!(read(&events, After::Position(at(5, 4)), None).is_empty());
    assert!(read(&events, After::Now, None).is_empty());
}

#[test]
fn a_reader_of_another_run_of_the_host_is_told_of_the_gap() {
    let events = Arc::new(Events::new(5));
    events.tell(None, release(1));
    events.tell(None, release(2));
    // Numbers that this run has too, and such as it does not have yet.
    for place in [at(4, 1), at(4, 900), at(5, 3)] {
        let told = read(&events, After::Position(place), None);
        let gap = Changed::Gap {
            after: place,
            missed: None,
        };
        assert_eq!(told[0].what, gap);
        assert_eq!(numbers(&told), [0, 1, 2]);
        // Coming back with the gap's own number misses nothing.
        let again = read(&events, After::Position(told[0].id), None);
        assert_eq!(numbers(&again), [1, 2]);
    }
}

#[test]
fn what_is_kept_is_bounded_and_a_slow_reader_hears_how_much_it_missed() {
    let events = Arc::new(Events::new(5));
    let mut slow = events.follow(After::Now, None, true);
    assert_eq!(place(&mut slow), at(5, 0));
    let total = MOST_KEPT as u64 + 10;
    for number in 1..=total {
        events.tell(None, release(number));
    }
    assert_eq!(events.kept().changes.len(), MOST_KEPT);
    let Some(Some(Told::Change(gap))) = slow.next().now_or_never() else {
        panic!("nothing is told");
    };
    assert_eq!(gap.id, at(5, 10));
    let after = at(5, 0);
    let missed = Some(10);
    assert_eq!(gap.what, Changed::Gap { after, missed });
    let Some(Some(Told::Change(next))) = slow.next().now_or_never() else {
        panic!("nothing follows the gap");
    };
    assert_eq!(next.id, at(5, 11));
}

#[test]
fn what_is_kept_is_bounded_in_bytes() {
    let events = Arc::new(Events::new(5));
    let to = "x".repeat(100_000);
    for _ in 0..100 {
        events.tell(None, Changed::Route { to: to.clone() });
    }
    let kept = events.kept();
    assert!(kept.bytes <= MOST_BYTES, "{}", kept.bytes);
    let bytes: usize = kept.changes.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(kept.bytes, bytes);
    assert_eq!(kept.changes.back().unwrap().0.id.number, 100);
}

#[test]
fn a_reader_of_one_app_hears_of_no_other_and_still_where_it_is() {
    let events = Arc::new(Events::new(5));
    events.tell(Some(&app("shop")), release(1));
    for number in 0..=MARK {
        events.tell(Some(&app("other")), release(number));
    }
    events.tell(None, Changed::Engine { away: true });
    assert_eq!(numbers(&read(&events, After::Beginning, Some("shop"))), [1]);
    let told = events.follow(After::Beginning, Some(app("shop")), false);
    let told: Vec<Told> = told.collect().now_or_never().unwrap();
    let Some(Told::Nothing(place)) = told.last() else {
        panic!("{told:?}");
    };
    assert!(place.number > MARK / 2, "{place}");
}

#[tokio::test]
async fn a_reader_that_waits_is_woken() {
    let events = Arc::new(Events::new(5));
    let mut reader = events.follow(After::Now, None, true);
    assert_eq!(place(&mut reader), at(5, 0));
    assert!(reader.next().now_or_never().is_none());
    events.tell(None, release(1));
    let Some(Told::Change(change)) = reader.next().await else {
        panic!("nothing is told");
    };
    assert_eq!(change.what, release(1));
}

#[test]
fn only_what_is_different_about_an_app_is_told() {
    let events = Arc::new(Events::new(5));
    let status = |state, main: ContainerState| Status {
        state,
        containers: BTreeMap::from([(ServiceName::main(), main)]),
        target: Target::Starting,
        running: 0,
        wanted: 1,
    };
    let shop = app("shop");
    let running = status(AppState::Running, ContainerState::Running);
    events.know(&shop, Some(1), &running);
    events.app_is(&shop, Some(1), &running);
    assert!(read(&events, After::Beginning, None).is_empty());
    // What a health check has printed is not told.
    let trouble = ContainerState::Unhealthy("a password".to_owned());
    events.app_is(&shop, Some(2), &status(AppState::Unhealthy, trouble));
    let nothing = Status {
        containers: BTreeMap::new(),
        ..status(AppState::Unhealthy, ContainerState::Running)
    };
    events.app_is(&shop, Some(2), &nothing);
    events.app_is_gone(&shop);
    events.app_is_gone(&shop);
    let told = read(&events, After::Beginning, Some("shop"));
    let told: Vec<Changed> = told.into_iter().map(|change| change.what).collect();
    let container = |state: Option<&str>, was: &str| Changed::Container {
        container: ServiceName::main(),
        state: state.map(str::to_owned),
        was: Some(was.to_owned()),
    };
    let expected = [
        release(2),
        container(Some("unhealthy"), "running"),
        Changed::App {
            state: AppState::Unhealthy,
            was: Some(AppState::Running),
        },
        container(None, "unhealthy"),
        Changed::Removed,
    ];
    assert_eq!(told, expected);
}
