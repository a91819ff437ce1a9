//! Source archives, builds and files, by digest.

use crate::stage::{LITERAL, files_hold, release, shop};
use doprax_store::{Build, Store};
use std::collections::BTreeMap;

#[tokio::test]
async fn builds_and_files_are_kept_by_their_digest() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let build = Build {
        image: "sha256:1".to_owned(),
        ports: vec![80, 8000],
        bases: BTreeMap::from([("debian:12".to_owned(), "sha256:2".to_owned())]),
    };
    store.put_build(&shop(), "a", &build).await.unwrap();
    assert_eq!(store.build(&shop(), "a").await.unwrap(), Some(build));
    assert_eq!(store.build(&shop(), "b").await.unwrap(), None);
    store.put_blob("d", LITERAL.as_bytes()).await.unwrap();
    assert_eq!(store.blob("d").await.unwrap().unwrap(), LITERAL.as_bytes());
    assert_eq!(store.blob("e").await.unwrap(), None);
    assert!(!files_hold(folder.path(), LITERAL));

    let [kept, dropped, new] = ["a", "b", "c"].map(|letter| letter.repeat(64));
    for digest in [&kept, &dropped, &new] {
        std::fs::write(store.source_path(digest), b"tar").unwrap();
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
    for digest in [&kept, &dropped] {
        let path = store.source_path(digest);
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let keep = std::slice::from_ref(&kept);
    store.prune_sources(keep).await.unwrap();
    let is_there = |digest: &String| store.source_path(digest).exists();
    assert_eq!([&kept, &dropped, &new].map(is_there), [true, false, true]);
    // One that a deploy failed with goes at once.
    for digest in [&kept, &new] {
        store.remove_source(digest, keep).await.unwrap();
    }
    assert_eq!([&kept, &new].map(is_there), [true, false]);
}

#[tokio::test]
async fn the_archive_of_a_release_stays_while_the_release_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let subnet = "10.200.0.0/23".parse().unwrap();
    store.add_app(&shop(), subnet).await.unwrap();
    release(&store).await;
    let path = store.source_path(&"a".repeat(64));
    let foreign = folder.path().join("sources/notes.tar");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
    for path in [&path, &foreign] {
        let file = std::fs::File::create(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let tidy = async || {
        store.prune_sources(&[]).await.unwrap();
        let digest = "a".repeat(64);
        store.remove_source(&digest, &[]).await.unwrap();
        path.exists()
    };
    assert!(tidy().await);
    store.remove_app(&shop(), None).await.unwrap();
    assert!(!tidy().await);
    // What is no archive is not the store's to remove.
    assert!(foreign.exists());
    // What cannot be removed is said.
    std::fs::create_dir(&path).unwrap();
    let refused = store.remove_source(&"a".repeat(64), &[]).await;
    let error = refused.unwrap_err();
    assert!(
        matches!(error, doprax_store::Error::Folder { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_image_has_the_name_of_the_first_source_that_gave_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    for (source, image) in [("b", "sha256:1"), ("a", "sha256:1"), ("c", "sha256:2")] {
        let build = Build {
            image: image.to_owned(),
            ports: Vec::new(),
            bases: BTreeMap::new(),
        };
        store.put_build(&shop(), source, &build).await.unwrap();
    }
    let first = async |image: &str| store.first_source(&shop(), image).await.unwrap();
    assert_eq!(first("sha256:1").await.as_deref(), Some("b"));
    assert_eq!(first("sha256:2").await.as_deref(), Some("c"));
    assert_eq!(first("sha256:3").await, None);
}
