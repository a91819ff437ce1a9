//! Volumes: who can write to them, which of them go.

use crate::docker_only::{address, idle};
use crate::stage::{DEBIAN, Stage, build_of, container, volume};
use bollard::query_parameters::ListVolumesOptions;
use doprax_core::plan::Act;
use doprax_core::spec::VolumeMount;
use doprax_engine::names;
use doprax_engine::{Event, Outcome};
use std::sync::Arc;

pub(crate) async fn a_volume_that_its_user_cannot_write_is_noted(stage: Arc<Stage>) {
    stage.network().await;
    let mut worker = idle("worker");
    worker.user = Some("nobody".to_owned());
    let mount = |name: &str, path: &str| VolumeMount {
        name: volume(name),
        path: path.to_owned(),
    };
    worker.mounts = vec![mount("data", "/data"), mount("scratch", "/tmp")];
    stage.start(&worker).await;
    let events = stage.events.lock().unwrap().clone();
    let notes: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Note(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    // What the image lets everybody write to is taken over by a new volume.
    assert_eq!(notes.len(), 1, "{notes:?}");
    for part in ["worker runs as user nobody", "volume data at /data"] {
        assert!(notes[0].contains(part), "{notes:?}");
    }
}

pub(crate) async fn only_volumes_without_a_name_go_with_the_container(stage: Arc<Stage>) {
    let dockerfile = format!(
        "FROM {DEBIAN}\nRUN mkdir /named /nameless && echo seed >/named/seed\n\
         VOLUME /nameless /named\nCMD sleep infinity\n"
    );
    let (build, inputs, _folder) = build_of(&stage, &dockerfile);
    let built = stage
        .engine
        .apply(&stage.app, &build, &inputs, &stage.progress)
        .await;
    assert_eq!(built.unwrap(), Outcome::Done);
    let Act::BuildImage { reference, .. } = build else {
        unreachable!()
    };
    stage.network().await;
    let mut main = container("main", &reference);
    let data = volume("Data 1");
    main.mounts = vec![VolumeMount {
        name: data.clone(),
        path: "/named".to_owned(),
    }];
    stage
        .must(Act::CreateVolume {
            volume: data.clone(),
        })
        .await;
    let name = stage.start(&main).await;
    // An empty volume is filled with what the image has there.
    assert_eq!(
        stage.output_of(&name, &["cat", "/named/seed"]).await,
        "seed\n"
    );
    stage
        .output_of(&name, &["sh", "-c", "echo kept >/named/kept"])
        .await;

    let engine = bollard::Docker::connect_with_unix(&address(), 60, bollard::API_DEFAULT_VERSION);
    let engine = engine.unwrap();
    let mounts = engine
        .inspect_container(&name, None)
        .await
        .unwrap()
        .mounts
        .unwrap();
    let nameless = mounts
        .iter()
        .find(|mount| mount.destination.as_deref() == Some("/nameless"));
    let nameless = nameless.unwrap().name.clone().unwrap();
    let exists = async |volume: &str| {
        let listed = engine
            .list_volumes(None::<ListVolumesOptions>)
            .await
            .unwrap();
        listed
            .volumes
            .unwrap()
            .iter()
            .any(|found| found.name == volume)
    };
    assert!(exists(&nameless).await);
    stage
        .must(Act::RemoveContainer {
            container: stage.copy(&name),
        })
        .await;
    assert!(!exists(&nameless).await);
    assert!(exists(&names::volume(&stage.instance, &stage.app, &data)).await);
    let name = stage.start(&main).await;
    assert_eq!(
        stage.output_of(&name, &["cat", "/named/kept"]).await,
        "kept\n"
    );
}
