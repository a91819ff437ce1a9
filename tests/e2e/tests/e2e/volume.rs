//! Volumes: named as people name them, shared, and never removed unasked.

use crate::host;
use doprax_e2e::App;

#[test]
fn a_name_with_blanks_is_shared_and_stays_until_it_is_removed() {
    let with_volume = "\
main:
  volumes:
    - name: new volume 01
      mount: /shared/
services:
  - redis:
      image: doprax-test/redis:7
      volumes:
        - name: new volume 01
          mount: /elsewhere
";
    let app = App::tiny("tiny", with_volume);
    let Some(host) = host() else { return };
    let (cli, docker) = (host.cli(), &host.docker);
    cli.ok(["up", app.path(), "--yes"]);
    let (code, said) = docker.exec(
        "tiny",
        "main",
        &["sh", "-c", "echo from main >/shared/note"],
    );
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        docker.exec("tiny", "redis", &["cat", "/elsewhere/note"]).1,
        "from main"
    );
    cli.ok(["volume", "list"])
        .says(&["new volume 01", "main:/shared", "redis:/elsewhere"]);
    cli.fails(1, ["volume", "remove", "tiny", "new volume 01", "--yes"])
        .says(&["in use"]);

    // A manifest that no longer names it leaves it alone.
    app.write(
        "doprax.yaml",
        "services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    cli.ok(["up", app.path(), "--yes"]);
    assert_ne!(docker.exec("tiny", "main", &["ls", "/shared"]).0, 0);
    cli.ok(["volume", "list", "tiny"])
        .says(&["new volume 01", "(nowhere)"]);
    app.write("doprax.yaml", with_volume);
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(
        docker.exec("tiny", "redis", &["cat", "/elsewhere/note"]).1,
        "from main"
    );

    cli.ok(["remove", "tiny", "--yes"])
        .says(&["\"new volume 01\""]);
    cli.fails(2, ["volume", "remove", "tiny", "new volume 01"])
        .says(&["--yes"]);
    cli.ok(["volume", "remove", "tiny", "new volume 01", "--yes"]);
    cli.ok(["volume", "list", "tiny"])
        .says_none(&["new volume 01"]);
}

#[test]
fn data_that_no_volume_keeps_is_pointed_out() {
    let app = App::tiny(
        "tiny",
        "services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nCOPY index.html /usr/share/nginx/html/index.html\n\
         VOLUME /srv/kept /srv/lost\n",
    );
    let Some(host) = host() else { return };
    let cli = host.cli();
    cli.ok(["up", app.path(), "--yes"]);
    cli.ok(["status", "tiny"]).says(&["/srv/kept", "/srv/lost"]);
    app.write(
        "doprax.yaml",
        "main:\n  volumes:\n    - { name: kept, mount: /srv/kept }\n\
         services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    cli.ok(["up", app.path(), "--yes"]);
    cli.ok(["status", "tiny"])
        .says(&["what it writes to /srv/lost is lost"])
        // Redis has its data in a volume by default.
        .says_none(&["/srv/kept is lost", "/data is lost"]);
}
