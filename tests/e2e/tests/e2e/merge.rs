//! What was changed by hand, against what doprax.yaml says.

use crate::deployed;
use doprax_e2e::App;

#[test]
fn what_was_set_by_hand_stays_until_the_manifest_changes_it() {
    let manifest = "main:\n  envs:\n    - COLOUR: red\n    - SIZE: small\n";
    let app = App::tiny("tiny", manifest);
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let value = |name: &str| {
        cli.command(["shell", "tiny", "--", "printenv", name])
            .run()
            .stdout
            .trim()
            .to_owned()
    };
    cli.ok(["env", "set", "tiny", "SHAPE=round", "SIZE=large"]);
    assert_eq!(
        (value("SHAPE").as_str(), value("SIZE").as_str()),
        ("round", "large")
    );
    cli.ok(["env", "list", "tiny"])
        .says(&["SHAPE", "round", "large", "red"]);

    // A deploy of the same manifest changes nothing; one of another only what it names.
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
    app.replace("doprax.yaml", "COLOUR: red", "COLOUR: blue");
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(
        (value("SHAPE").as_str(), value("SIZE").as_str()),
        ("round", "large")
    );
    assert_eq!(value("COLOUR"), "blue");

    // What the manifest once had and no longer names goes.
    app.replace("doprax.yaml", "    - COLOUR: blue\n", "");
    cli.ok(["plan", app.path()]).says(&["COLOUR"]);
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(
        (value("COLOUR").as_str(), value("SHAPE").as_str()),
        ("", "round")
    );
    cli.ok(["env", "unset", "tiny", "SHAPE"]);
    assert_eq!(value("SHAPE"), "");
}
