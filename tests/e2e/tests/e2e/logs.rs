//! What containers print, as `doprax logs` shows it.

use crate::deployed;
use doprax_e2e::App;

#[test]
fn of_all_of_one_the_last_the_newest_and_those_to_come() {
    let app = App::tiny(
        "tiny",
        "services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    app.write(
        "Dockerfile",
        "FROM doprax-test/nginx:1.22\n\
         CMD [\"sh\", \"-c\", \"for i in 1 2 3 4 5; do echo line $i; done; echo oops >&2; exec nginx -g 'daemon off;'\"]\n",
    );
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let lines = |arguments: &[&str]| -> Vec<String> {
        let all = ["logs", "tiny"].iter().chain(arguments);
        let outcome = cli.ok(all).stdout;
        outcome.lines().map(str::to_owned).collect()
    };
    let of_main = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.starts_with("line "))
            .cloned()
            .collect::<Vec<_>>()
    };

    let all = lines(&[]);
    assert!(
        all.iter()
            .any(|line| line.starts_with("main") && line.ends_with("line 3")),
        "{all:#?}"
    );
    assert!(
        all.iter()
            .any(|line| line.starts_with("redis") && line.contains("Ready to accept")),
        "{all:#?}"
    );
    let main = lines(&["main"]);
    assert_eq!(
        of_main(&main),
        ["line 1", "line 2", "line 3", "line 4", "line 5"]
    );
    assert!(
        main.contains(&"oops".to_owned())
            && !main.iter().any(|line| line.contains("Ready to accept")),
        "{main:#?}"
    );
    assert_eq!(lines(&["main", "--tail", "2"]).len(), 2);
    assert_eq!(lines(&["main", "--since", "2030-01-01T00:00:00Z"]), [""; 0]);
    assert_eq!(of_main(&lines(&["main", "--since", "10m"])).len(), 5);

    let records = cli.ok(["logs", "tiny", "main", "--json"]).lines();
    let oops = records
        .iter()
        .find(|record| record["text"] == "oops")
        .unwrap();
    assert_eq!(oops["stderr"], true, "{oops}");
    assert!(oops["time"].as_str().unwrap().contains('T'), "{oops}");

    let mut following = cli
        .command(["logs", "tiny", "main", "--follow", "--tail", "0"])
        .spawn();
    let site = host.site("tiny");
    doprax_e2e::wait_for("a request to be in the log that is followed", 20, || {
        site.get("/followed").with_status(404);
        following.stdout().contains("GET /followed").then_some(())
    });
    assert!(
        !following.stdout().contains("line 1"),
        "{}",
        following.stdout()
    );
    // SIGINT is ignored by whatever a shell started in the background, tests included.
    following.signal("TERM");
    following.end(5);

    cli.fails(1, ["logs", "tiny", "nothing"])
        .says(&["no container nothing", "main", "redis"]);
}
