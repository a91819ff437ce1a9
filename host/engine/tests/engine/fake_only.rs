//! What only the engine in memory does: fail when it is told to.

use crate::stage::{REDIS, command_of, container, hash};
use doprax_core::copy::CopyName;
use doprax_core::name::{AppName, Instance, ServiceName};
use doprax_core::observed::State;
use doprax_core::plan::Act;
use doprax_engine::names;
use doprax_engine::{
    ByHand, Engine as _, Error, Fake, FakeImage, Fault, Inputs, Outcome, Progress,
};
use futures_util::StreamExt as _;
use std::sync::Arc;

struct Fixture {
    fake: Fake,
    app: AppName,
    name: String,
    copy: CopyName,
}

impl Fixture {
    fn new(image: FakeImage) -> Self {
        let instance = Instance::default();
        let app = AppName::new("shop").unwrap();
        let copy = CopyName::Serving(ServiceName::new("redis").unwrap());
        let name = names::container(&instance, &app, &copy);
        let fake = Fake::new(instance);
        fake.add_image(REDIS, image);
        Self {
            fake,
            app,
            name,
            copy,
        }
    }

    async fn apply(&self, act: &Act) -> Result<Outcome, Error> {
        let progress: Progress = Arc::new(|_| {});
        self.fake
            .apply(&self.app, act, &Inputs::default(), &progress)
            .await
    }

    fn network(&self) -> Act {
        Act::CreateNetwork {
            subnet: "10.1.0.0/24".parse().unwrap(),
        }
    }

    async fn started(image: FakeImage) -> Self {
        let fixture = Self::new(image);
        let redis = container("redis", REDIS);
        let create = Act::CreateContainer {
            container: fixture.copy.clone(),
            hash: hash(&redis),
            spec: Box::new(redis),
        };
        for act in [
            fixture.network(),
            create,
            Act::StartContainer {
                container: fixture.copy.clone(),
            },
        ] {
            assert_eq!(fixture.apply(&act).await.unwrap(), Outcome::Done);
        }
        fixture
    }

    async fn redis(&self) -> doprax_core::observed::ObservedContainer {
        let found = self.fake.container(&self.app, &self.copy).await;
        found.unwrap().unwrap()
    }
}

#[tokio::test]
async fn the_nth_act_fails_before_or_after_it_is_done() {
    let fixture = Fixture::new(FakeImage::new([]));
    let (network, remove) = (fixture.network(), Act::RemoveNetwork);
    fixture.fake.fail_act(1, Fault::Before);
    fixture.fake.fail_act(2, Fault::After);
    assert!(fixture.apply(&network).await.is_err());
    assert!(
        fixture
            .fake
            .observe(&fixture.app)
            .await
            .unwrap()
            .network
            .is_none()
    );
    assert!(fixture.apply(&network).await.is_err());
    assert!(
        fixture
            .fake
            .observe(&fixture.app)
            .await
            .unwrap()
            .network
            .is_some()
    );
    assert_eq!(fixture.apply(&network).await.unwrap(), Outcome::AlreadyDone);
    assert_eq!(fixture.apply(&remove).await.unwrap(), Outcome::Done);
    assert_eq!(
        fixture.fake.acts(),
        [network.clone(), network.clone(), network, remove]
    );
}

#[tokio::test]
async fn a_client_that_is_dead_hears_nothing_and_moves_nothing() {
    for fault in [Fault::Before, Fault::After] {
        let fixture = Fixture::new(FakeImage::new([]));
        let network = fixture.network();
        fixture.fake.hold_act(1, fault);
        for _ in 0..2 {
            tokio::select! {
                done = fixture.apply(&network) => panic!("{done:?}"),
                () = fixture.fake.held() => {}
            }
        }
        let observed = fixture.fake.observe(&fixture.app).await.unwrap();
        assert_eq!(observed.network.is_some(), fault == Fault::After);
        fixture.fake.let_go();
        fixture.apply(&network).await.unwrap();
    }
}

#[tokio::test]
async fn an_engine_that_is_away_answers_nothing_and_comes_back() {
    let fixture = Fixture::started(FakeImage::new([])).await;
    let mut hints = fixture.fake.hints().await.unwrap();
    fixture.fake.set_away(true);
    assert_eq!(hints.next().await, None);
    let away = fixture.fake.observe(&fixture.app).await;
    assert!(matches!(away, Err(Error::Unreachable { .. })), "{away:?}");
    let away = fixture.apply(&Act::RemoveNetwork).await;
    assert!(matches!(away, Err(Error::Unreachable { .. })), "{away:?}");
    fixture.fake.set_away(false);
    assert_eq!(fixture.redis().await.state, State::Running);
}

#[tokio::test]
async fn a_container_crashes_and_is_removed_by_hand() {
    let fixture = Fixture::started(FakeImage::new([])).await;
    let mut hints = fixture.fake.hints().await.unwrap();
    let before = fixture.redis().await;
    fixture.fake.crash(&fixture.name);
    assert_eq!(hints.next().await.as_ref(), Some(&fixture.app));
    let after = fixture.redis().await;
    assert_eq!((after.state, after.restarts), (State::Running, 1));
    assert!(after.started_ms > before.started_ms);
    fixture.fake.by_hand(&fixture.name, ByHand::Remove);
    let found = fixture.fake.container(&fixture.app, &fixture.copy).await;
    assert_eq!(found.unwrap(), None);
}

#[tokio::test]
async fn an_image_crashes_or_never_gets_ready() {
    let fixture = Fixture::started(FakeImage::new([]).crashes()).await;
    let first = fixture.redis().await;
    assert_eq!(first.state, State::Restarting);
    assert!(fixture.redis().await.restarts > first.restarts);

    for (image, code) in [
        (FakeImage::new([]), 0),
        (FakeImage::new([]).never_ready(), 1),
    ] {
        let fixture = Fixture::started(image).await;
        let ping = command_of(&["redis-cli", "ping"]);
        let mut session = fixture.fake.exec(&fixture.name, &ping).await.unwrap();
        while session.output.next().await.is_some() {}
        assert_eq!(
            fixture.fake.exec_exit_code(&session.id).await.unwrap(),
            code
        );
    }
}
