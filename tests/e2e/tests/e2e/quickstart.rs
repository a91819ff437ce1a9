//! `doprax quickstart`: the first command of the README.

use crate::host;
use doprax_e2e::wait_for;

#[test]
fn deploys_a_guestbook_that_works() {
    let Some(host) = host() else { return };
    if host.setup.engine != "unix:///var/run/docker.sock" {
        return doprax_e2e::skipped("quickstart uses the machine's own engine");
    }
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("guestbook");
    let folder = folder.to_str().unwrap();
    // Where its images are neither here nor in a registry, they are built.
    let quickstart = || {
        host.cli()
            .command(["quickstart", folder, "--yes"])
            .within(400)
            .run()
            .succeeded()
    };
    quickstart().says(&[
        "a host runs already",
        "guestbook runs at http://guestbook.localhost",
        "doprax logs guestbook",
    ]);
    let site = host.site("guestbook");
    let page = site.get("/").with_status(200).text();
    assert!(page.contains("<form"), "{page}");
    // It can be run again, and after a change.
    quickstart();
    let source = format!("{folder}/page.html");
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text + "<!-- changed -->\n").unwrap();
    host.cli().ok(["up", folder, "--yes"]);
    wait_for("the changed page", 10, || {
        site.get("/")
            .text()
            .contains("<!-- changed -->")
            .then_some(())
    });
}
