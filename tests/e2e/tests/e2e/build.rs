//! Sources and images that cannot be used, and what is said about them.

use crate::host;
use doprax_e2e::App;

#[test]
fn a_source_that_cannot_be_built_is_refused_before_anything_starts() {
    let Some(host) = host() else { return };
    let cli = host.cli();
    let refused = |app: &App, texts: &[&str]| {
        cli.fails(1, ["up", app.path(), "--yes"]).says(texts);
        assert_eq!(host.docker.names("container", "tiny"), [""; 0]);
    };

    let app = App::tiny("tiny", "");
    app.remove("Dockerfile");
    refused(&app, &["no Dockerfile", "help:"]);
    app.write("dockerfile", "FROM doprax-test/nginx:1.22\n");
    refused(&app, &["is named dockerfile", "mv dockerfile Dockerfile"]);
    app.remove("dockerfile");
    app.write(
        "Dockerfile",
        "FROM doprax-test/python:3.11\nCMD [\"sleep\", \"1000\"]\n",
    );
    refused(&app, &["EXPOSE", "port"]);
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nRUN echo one two three && echo last words && exit 9\n",
    );
    refused(&app, &["RUN echo one two three", "last words", "9"]);
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nCOPY missing.html /\n",
    );
    refused(&app, &["missing.html"]);
    app.write("Dockerfile", "FROM doprax-test/nginx:1.22\nFETCH it\n");
    refused(&app, &["FETCH"]);
    app.write("Dockerfile", "FROM doprax-test/nothing:9\n");
    refused(&app, &["doprax-test/nothing:9"]);

    app.write("Dockerfile", "FROM doprax-test/nginx:1.22\n");
    app.write(
        "doprax.yaml",
        "services:\n  - redis:\n      image: doprax-test/nothing:9\n",
    );
    refused(&app, &["doprax-test/nothing:9", "help:"]);

    app.write("doprax.yaml", "app: tiny\n");
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(host.site("tiny").get("/").status.as_u16(), 200);
}

#[test]
fn the_dockerfiles_own_port_goes_before_those_of_its_base() {
    let app = App::tiny("tiny", "");
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\n\
         RUN sed -i 's/listen 80;/listen 8080;/' /etc/nginx/conf.d/default.conf\n\
         EXPOSE 8080\n",
    );
    let Some(host) = host() else { return };
    let cli = host.cli();
    cli.ok(["plan", app.path()]).says(&["8080"]);
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(host.site("tiny").get("/").status.as_u16(), 200);
}

#[test]
fn config_files_come_from_inside_the_source() {
    let Some(host) = host() else { return };
    let manifest = |source: &str| {
        format!(
            "services:\n  - nginx:\n      image: doprax-test/nginx:1.22\n      config_file:\n        - source: {source}\n          mount: /etc/nginx/extra.conf\n"
        )
    };
    let app = App::tiny("tiny", "");
    std::os::unix::fs::symlink("/etc/passwd", app.at("link.conf")).unwrap();
    std::os::unix::fs::symlink("/etc", app.at("way-out")).unwrap();
    for (source, texts) in [
        ("./missing.conf", ["missing.conf", "doprax.yaml:5:"]),
        ("./link.conf", ["link.conf", "out of the source"]),
        ("./way-out/passwd", ["way-out/passwd", "out of the source"]),
        ("../../etc/passwd", ["passwd", "doprax.yaml:5:"]),
        ("/etc/passwd", ["/etc/passwd", "doprax.yaml:5:"]),
    ] {
        app.write("doprax.yaml", manifest(source));
        let refused = host.cli().fails(1, ["up", app.path(), "--yes"]);
        refused.says(&texts).says_none(&["root:x:0"]);
        assert_eq!(host.docker.names("container", "tiny"), [""; 0]);
    }
}

#[test]
fn the_build_sees_what_dockerignore_leaves_and_may_use_buildkit() {
    let app = App::tiny("tiny", "");
    app.write(".dockerignore", "*.secret\nfolder/**\n!folder/kept\n");
    app.write("a.secret", "x");
    app.write("folder/left", "x");
    app.write("folder/kept", "x");
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nWORKDIR /seen\nCOPY . .\n\
         RUN --mount=type=cache,target=/cache date +%s%N >>/cache/dates && cp /cache/dates /dates\n",
    );
    let Some(host) = host() else { return };
    let cli = host.cli();
    cli.ok(["up", app.path(), "--yes"]);
    let seen = cli
        .ok(["shell", "tiny", "--", "find", ".", "-type", "f"])
        .stdout;
    let mut seen: Vec<&str> = seen.lines().collect();
    seen.sort_unstable();
    assert!(
        seen.contains(&"./folder/kept") && seen.contains(&"./index.html"),
        "{seen:?}"
    );
    assert!(
        !seen.contains(&"./a.secret") && !seen.contains(&"./folder/left"),
        "{seen:?}"
    );
    // What is ignored is no part of the source.
    app.write("a.secret", "y");
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);

    let built = |app: &App| {
        cli.ok(["up", app.path(), "--yes"]);
        cli.ok(["shell", "tiny", "--", "cat", "/dates"])
            .stdout
            .lines()
            .count()
    };
    app.write("index.html", "second\n");
    assert!(built(&app) >= 2, "the cache of the build before is there");
}

#[test]
fn what_the_manifest_is_for_is_no_part_of_main() {
    let app = App::tiny("tiny", "");
    let manifest = |domain: &str| {
        format!(
            "domains:\n  - {{ name: {domain} }}\nservices:\n  - redis:\n      image: doprax-test/redis:7\n      \
             config_file:\n        - source: conf/redis.conf\n          mount: /etc/redis/extra.conf\n"
        )
    };
    app.write("doprax.yaml", manifest("a.example.com"));
    app.write("conf/redis.conf", "# first\n");
    app.write("conf/named", "x");
    app.write(".git/config", "[remote]\n");
    app.write(".dockerignore", "nothing\n");
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nWORKDIR /seen\nCOPY . .\n\
         RUN cp index.html /usr/share/nginx/html/ && test -f Dockerfile && test -f conf/named && test ! -e .git && \
         test ! -e doprax.yaml && test ! -e conf/redis.conf && test ! -e .dockerignore\n",
    );
    let Some(host) = host() else { return };
    let (cli, docker) = (host.cli(), &host.docker);
    cli.ok(["up", app.path(), "--yes"]);
    let first = docker.id("tiny", "main");
    app.write(".git/config", "[remote] again\n");
    cli.ok(["up", app.path(), "--yes"]).says(&["nothing to do"]);
    app.write("doprax.yaml", manifest("b.example.com"));
    app.write("conf/redis.conf", "# second\n");
    cli.ok(["up", app.path(), "--yes"]);
    assert_eq!(docker.id("tiny", "main"), first);
    let (_, seen) = docker.exec("tiny", "redis", &["cat", "/etc/redis/extra.conf"]);
    assert_eq!(seen, "# second");

    // What the Dockerfile names is there, and `!` brings back the rest.
    app.write(".dockerignore", "!.git\n");
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\nCOPY conf /conf\nCOPY doprax.yaml .git/config /\n\
         RUN cat /conf/redis.conf /doprax.yaml /config\n",
    );
    cli.ok(["up", app.path(), "--yes"]);
    assert_ne!(docker.id("tiny", "main"), first);
}
