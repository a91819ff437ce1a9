//! Every limit, with a plugin that runs into it. What a plugin does is the setting
//! `act` of the crate in `hostile/`.

use doprax_core::blueprint::sha256_hex;
use doprax_core::name::ServiceName;
use doprax_core::probe::{Observation, Verdict};
use doprax_core::service::{AppContext, DescribeRequest, ServiceDescription};
use doprax_plugin::{
    BUILTIN, DescribeError, Earlier, Error, Exceeded, Limits, Plugins, Reason, inspect,
};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// A plugin that misbehaves, compiled by the crate's build script.
const HOSTILE: &[u8] = include_bytes!(env!("DOPRAX_HOSTILE_PLUGIN"));

/// Limits of which the wall clock, on a machine with much else to do, is not the
/// first to be reached.
fn patient() -> Limits {
    Limits {
        wall_clock: Duration::from_secs(60),
        ..Limits::default()
    }
}

static PLUGINS: LazyLock<Plugins> = LazyLock::new(|| open(patient()));

fn open(limits: Limits) -> Plugins {
    Plugins::open(None, &[("hostile", HOSTILE)], limits).expect("it loads")
}

fn request(act: &str) -> DescribeRequest {
    let name = ServiceName::new("hostile").expect("a label");
    DescribeRequest {
        name: name.clone(),
        version: None,
        image: None,
        port: None,
        settings: json!({ "act": act }),
        env_names: Vec::new(),
        volumes: Vec::new(),
        file_paths: Vec::new(),
        app: AppContext {
            name: "shop".to_owned(),
            main_volumes: Vec::new(),
            services: vec![(name, "hostile".to_owned())],
        },
    }
}

fn describe(plugins: &Plugins, act: &str) -> Result<ServiceDescription, Error> {
    match plugins.describe("hostile", &request(act)) {
        Ok(service) => Ok(service),
        Err(DescribeError::Plugin(error)) => Err(error),
        Err(DescribeError::Diagnostics(diagnostics)) => panic!("objections: {diagnostics:?}"),
    }
}

#[track_caller]
fn exceeds(plugins: &Plugins, act: &str, expected: Exceeded) {
    match describe(plugins, act) {
        Err(Error::Exceeded { exceeded, .. }) => assert_eq!(exceeded, expected),
        other => panic!("expected {expected:?}, got {other:?}"),
    }
    // The next call has an instance of its own.
    assert!(describe(plugins, "behave").is_ok());
}

#[track_caller]
fn refused(act: &str, expected_at: &str) -> Reason {
    match describe(&PLUGINS, act) {
        Err(Error::Answer { at, reason, .. }) => {
            assert_eq!(at, expected_at);
            reason
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn fuel() {
    exceeds(&PLUGINS, "spin", Exceeded::Fuel);
}

#[test]
fn wall_clock() {
    let wall_clock = Duration::from_millis(100);
    let plugins = open(Limits {
        fuel: u64::MAX,
        wall_clock,
        ..Limits::default()
    });
    let start = Instant::now();
    exceeds(&plugins, "spin", Exceeded::WallClock);
    assert!(start.elapsed() >= wall_clock, "{:?}", start.elapsed());
}

#[test]
fn memory() {
    exceeds(&PLUGINS, "grow", Exceeded::Memory);
}

#[test]
fn stack() {
    exceeds(&PLUGINS, "recurse", Exceeded::Stack);
}

#[test]
fn answer_size() {
    exceeds(&PLUGINS, "large-answer", Exceeded::AnswerSize);
}

#[test]
fn answer_entries() {
    assert_eq!(refused("many-entries", "notes"), Reason::Many(256));
}

#[test]
fn component_size() {
    let limits = Limits {
        component_size: HOSTILE.len() - 1,
        ..Limits::default()
    };
    match Plugins::open(None, &[("hostile", HOSTILE)], limits) {
        Err(Error::TooLarge { size, limit, .. }) => assert_eq!(size, limit + 1),
        other => panic!("expected a refusal, got {:?}", other.err()),
    }
}

#[test]
fn table_elements() {
    // A component of one core module with a table of a million functions.
    let module = [
        b"\0asm\x01\0\0\0".as_slice(),
        &[4, 6, 1, 0x70, 0, 0xc0, 0x84, 0x3d],
    ]
    .concat();
    let error = inspect_bytes(&component(1, &module)).expect_err("refused");
    assert!(matches!(error, Error::NotAComponent { .. }), "{error:?}");
}

#[test]
fn imports() {
    let name = b"wasi:sockets/tcp@0.2.6";
    let import = [&[1, 0, name.len() as u8], name.as_slice(), &[5, 0]].concat();
    // The type of an instance without exports, and an import of that type.
    let mut bytes = component(7, &[1, 0x42, 0]);
    bytes.extend([10, import.len() as u8]);
    bytes.extend(import);
    match inspect_bytes(&bytes) {
        Err(Error::ForbiddenImport { import, .. }) => assert_eq!(import, "wasi:sockets/tcp@0.2.6"),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// A component of one section.
fn component(section: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.extend([section, content.len() as u8]);
    bytes.extend(content);
    bytes
}

fn inspect_bytes(bytes: &[u8]) -> Result<doprax_plugin::PluginInfo, Error> {
    inspect(Path::new("plugin.wasm"), bytes, Limits::default())
}

#[test]
fn what_is_no_plugin() {
    let module = b"\0asm\x01\0\0\0";
    for bytes in [b"".as_slice(), b"#!/bin/sh", module] {
        let error = inspect_bytes(bytes).expect_err("refused");
        assert!(matches!(error, Error::NotAComponent { .. }), "{error:?}");
    }
    let empty = b"\0asm\x0d\0\x01\0";
    let error = inspect_bytes(empty).expect_err("refused");
    assert!(matches!(error, Error::Contract { .. }), "{error:?}");
}

#[test]
fn a_panic_is_in_the_error() {
    let error = describe(&PLUGINS, "panic").expect_err("it panics");
    assert!(
        error.to_string().contains("the text of the panic"),
        "{error}"
    );
    let error = describe(&PLUGINS, "exit").expect_err("it ends");
    assert!(matches!(error, Error::Failed { .. }), "{error:?}");
}

#[test]
fn printed_text_is_bounded() {
    match describe(&PLUGINS, "babble") {
        Err(Error::Failed { output, .. }) => {
            assert!(output.len() <= Limits::default().output_size);
            assert!(output.contains("the text after it"), "{output}");
        }
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[test]
fn nothing_differs_from_call_to_call() {
    let first = describe(&PLUGINS, "vary").expect("described");
    let second = describe(&open(patient()), "vary").expect("described");
    assert_eq!(first, second);
    assert_eq!(first.notes[2..], ["0ns", "[]", "[]"]);
}

#[test]
fn more_than_was_granted() {
    for (act, at, what) in [
        ("ask-capability", "capabilities[0]", "SYS_NICE"),
        ("ask-ulimit", "ulimits[0]", "nproc"),
        ("ask-image", "image", "evil.example/miner"),
        ("ask-exec", "probes[0]", "to run commands"),
    ] {
        assert_eq!(refused(act, at), Reason::NotGranted(what.to_owned()));
    }
    let name = ServiceName::new("reloads").expect("a label");
    let request = DescribeRequest {
        name,
        ..request("behave")
    };
    let error = PLUGINS.describe("hostile", &request).expect_err("refused");
    assert!(error.to_string().contains("to run commands"), "{error}");
}

#[test]
fn answers_that_cannot_be() {
    let path = |text: &str| Reason::Path(text.to_owned());
    assert_eq!(refused("relative-path", "files[0]"), path("etc/passwd"));
    assert_eq!(refused("parent-path", "volumes[0]"), path("/data/../etc"));
    assert_eq!(
        refused("undeclared-secret", "env[0]"),
        Reason::Undeclared("someone-elses".to_owned())
    );
    assert_eq!(refused("literal-secret", "env[0]"), Reason::LiteralSecret);
    assert_eq!(
        refused("unknown-container", "outputs[0]"),
        Reason::Container("nobody".to_owned())
    );
    assert!(matches!(
        refused("port-zero", "probes[0]"),
        Reason::Range { value: 0, .. }
    ));
    assert!(matches!(
        refused("long-interval", "probes[0]"),
        Reason::Range { .. }
    ));
    assert!(matches!(
        refused("set-user-id", "files[0]"),
        Reason::Range { .. }
    ));
    assert_eq!(refused("twice", "env"), Reason::Twice("A".to_owned()));
    assert_eq!(refused("control-character", "notes[0]"), Reason::Control);
    assert_eq!(refused("no-diagnostics", "diagnostics"), Reason::Empty);
}

#[test]
fn verdicts_are_checked_and_observations_cut() {
    let name = ServiceName::new("hostile").expect("a label");
    let output = "é".repeat(100_000);
    let observation = Observation {
        passed: true,
        status: None,
        output,
    };
    let verdict = PLUGINS
        .judge("hostile", None, &name, &[observation])
        .expect("judged");
    assert_eq!(verdict, Verdict::Failed((64 << 10).to_string()));
    let error = PLUGINS
        .judge("hostile", None, &name, &[])
        .expect_err("refused");
    assert!(
        matches!(
            error,
            Error::Answer {
                reason: Reason::Control,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_cache_that_cannot_be_written_stops_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = |cache| Plugins::open(Some(cache), &[("hostile", HOSTILE)], Limits::default());
    let cache = folder.path().join("plugins");
    assert_eq!(open(&cache).expect("compiled").unkept().count(), 0);
    // Where its files should be are folders, so that writing fails as on a full disk.
    for entry in fs::read_dir(&cache).expect("readable") {
        let path = entry.expect("readable").path();
        fs::remove_file(&path).expect("ours");
        fs::create_dir_all(path.join("in the way")).expect("ours");
    }
    let plugins = open(&cache).expect("compiled again");
    assert!(describe(&plugins, "behave").is_ok());
    assert_eq!(plugins.unkept().count(), 1);

    let nowhere = folder.path().join("a file").join("plugins");
    fs::write(folder.path().join("a file"), b"").expect("written");
    let plugins = open(&nowhere).expect("compiled");
    assert_eq!(plugins.unkept().count(), 1);
}

#[test]
fn what_was_compiled_of_components_that_are_gone_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("plugins");
    let open = || Plugins::open(Some(&cache), &[("hostile", HOSTILE)], Limits::default());
    let files = || -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(&cache).expect("readable");
        entries
            .map(|entry| entry.expect("readable").path())
            .collect()
    };
    open().expect("compiled");
    let kept = files();
    for file in &kept {
        let name = file.file_name().and_then(|name| name.to_str());
        let (_, engine) = name.expect("a name").split_once('-').expect("an engine");
        // Of another component, and half of one that a host was killed over.
        let old = cache.join(format!("{:064x}-{engine}", 7));
        for path in [old, cache.join(".tmpAbCdEf")] {
            fs::write(&path, b"old").expect("written");
            let file = fs::File::options().append(true).open(&path);
            let long_ago = SystemTime::now() - Duration::from_secs(48 * 60 * 60);
            file.expect("ours").set_modified(long_ago).expect("ours");
        }
    }
    let fresh = cache.join(".tmpOfAnother");
    fs::write(&fresh, b"being written").expect("written");
    assert_eq!(open().expect("loaded").unkept().count(), 0);
    let mut left = kept;
    left.insert(fresh);
    assert_eq!(files(), left);
}

/// A component from before the contract was frozen: Redis, as it was then.
const BEFORE_THE_FREEZE: &[u8] = include_bytes!("earlier/redis-before-the-freeze.wasm");

#[test]
fn a_component_from_before_the_freeze_gives_way_to_the_plugin_of_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let digest = sha256_hex(BEFORE_THE_FREEZE);
    let file = folder.path().join(format!("{digest}.wasm"));
    fs::write(&file, BEFORE_THE_FREEZE).expect("written");
    let needed = BTreeSet::from([digest.clone()]);
    let earlier = Earlier {
        folder: folder.path(),
        needed: &needed,
    };
    let redis = BUILTIN.iter().filter(|(name, _)| *name == "redis");
    let redis: Vec<(&str, &[u8])> = redis.copied().collect();
    let plugins = Plugins::open_with(None, &redis, Some(earlier), Limits::default());
    let plugins = plugins.expect("it loads");

    let unkept: Vec<String> = plugins.unkept().map(Error::to_string).collect();
    let said = format!(
        "component {digest} of an earlier host is not used; the plugin of its name takes its place"
    );
    assert_eq!(unkept, [said]);
    let why = plugins.unkept().next().and_then(std::error::Error::source);
    assert!(
        why.is_some_and(|why| why.to_string().contains("does not follow the contract")),
        "{why:?}"
    );
    let observation = Observation {
        passed: true,
        status: None,
        output: "+PONG\r\n".to_owned(),
    };
    let name = ServiceName::new("cache").expect("a label");
    let verdict = plugins.judge("redis", Some(&digest), &name, &[observation]);
    assert_eq!(verdict.expect("judged"), Verdict::Ready);
}

#[test]
fn what_a_release_was_described_by_judges_it_after_an_upgrade() {
    let folder = tempfile::tempdir().expect("a folder");
    let components = folder.path().join("components");
    let open = |builtins, needed: &BTreeSet<String>| {
        let earlier = Earlier {
            folder: &components,
            needed,
        };
        Plugins::open_with(None, builtins, Some(earlier), Limits::default()).expect("it loads")
    };
    let before = open(&[("hostile", HOSTILE)], &BTreeSet::new());
    let digest = before.info("hostile").expect("known").digest.clone();
    let kept = components.join(format!("{digest}.wasm"));
    assert!(kept.exists());

    // Another plugin of that name, as far as these observations go.
    let redis = BUILTIN.iter().filter(|(name, _)| *name == "redis");
    let redis: Vec<(&str, &[u8])> = redis.copied().collect();
    let name = ServiceName::new("cache").expect("a label");
    let judged = |plugins: &Plugins, component| {
        let observation = Observation {
            passed: true,
            status: None,
            output: "+PONG\r\n".to_owned(),
        };
        let verdict = plugins.judge("redis", component, &name, &[observation]);
        verdict.expect("judged")
    };
    let needed = BTreeSet::from([digest.clone()]);
    let after = open(&redis, &needed);
    assert_eq!(after.unkept().count(), 0);
    assert_eq!(judged(&after, None), Verdict::Ready);
    let earlier = judged(&after, Some(&digest));
    assert_eq!(earlier, Verdict::Failed("7".to_owned()));
    assert!(after.info("hostile").is_err(), "no new service gets it");

    // One that is another by now is not run.
    fs::write(&kept, b"another").expect("ours");
    let after = open(&redis, &needed);
    assert_eq!(after.unkept().count(), 1);
    assert_eq!(judged(&after, Some(&digest)), Verdict::Ready);

    // Half of one that a host was killed over goes with what nobody needs.
    let half = components.join(".tmpAbCdEf");
    fs::write(&half, b"half").expect("ours");
    open(&redis, &BTreeSet::new());
    assert!(!kept.exists() && !half.exists(), "nobody needs them");

    // A folder that cannot be written, as on a full disk, stops nothing.
    fs::remove_dir_all(&components).expect("ours");
    fs::write(&components, b"in the way").expect("ours");
    let after = open(&redis, &needed);
    assert!(after.unkept().next().is_some());
    assert_eq!(judged(&after, Some(&digest)), Verdict::Ready);
}

#[test]
fn compiled_code_is_loaded_only_from_a_folder_of_ours() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("plugins");
    let open = || Plugins::open(Some(&cache), &[("hostile", HOSTILE)], Limits::default());
    let mode = |mode| fs::Permissions::from_mode(mode);

    let first = open().expect("compiled");
    assert_eq!(
        fs::metadata(&cache).expect("made").permissions().mode() & 0o777,
        0o700
    );
    let mut files: Vec<_> = fs::read_dir(&cache)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 2, "code and facts, nothing half: {files:?}");
    for file in &files {
        assert_eq!(
            fs::metadata(file).expect("there").permissions().mode() & 0o077,
            0
        );
    }

    let second = open().expect("loaded");
    assert!(first.known().eq(second.known()));

    // It is read, and not made anew: what is written there is what is known.
    let facts = files
        .iter()
        .find(|file| file.extension().is_some_and(|e| e == "json"));
    let facts = facts.expect("facts are kept");
    let kept = fs::read_to_string(facts).expect("text");
    fs::write(facts, kept.replace("Misbehaves.", "Was read.")).expect("written");
    let read = open().expect("loaded");
    assert!(read.known().all(|info| info.summary == "Was read."));
    drop(read);
    fs::write(facts, kept).expect("written");

    // The code is mapped while it is in use.
    drop((first, second));

    // Damaged, cut or writable by others: compiled again.
    let code = files
        .iter()
        .find(|file| file.extension().is_some_and(|e| e == "cwasm"));
    let code = code.expect("code is kept");
    fs::write(code, b"not code").expect("written");
    assert!(describe(&open().expect("compiled"), "behave").is_ok());
    fs::set_permissions(code, mode(0o666)).expect("ours");
    assert!(describe(&open().expect("compiled"), "behave").is_ok());
    assert_eq!(
        fs::metadata(code).expect("there").permissions().mode() & 0o777,
        0o600
    );

    fs::set_permissions(&cache, mode(0o777)).expect("ours");
    assert!(matches!(open(), Err(Error::CacheNotOurs { .. })));
}
