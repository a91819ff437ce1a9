//! Services other than those of the guestbook and scholar.

use crate::deployed;
use doprax_e2e::App;

#[test]
fn postgresql_answers_to_both_its_names() {
    let app = App::tiny(
        "tiny",
        "\
main:
  envs:
    - PGPASSWORD: random_pg
      type: password
services:
  - postgres:
      image: doprax-test/postgresql:15
      envs:
        - POSTGRES_USER: shop
        - POSTGRES_DB: orders
        - POSTGRES_PASSWORD: random_pg
          type: password
",
    );
    app.write("Dockerfile", "FROM doprax-test/postgresql:15\nENTRYPOINT []\nEXPOSE 8000\nCMD [\"perl\", \"-e\", \"use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 8000, Listen => 5, ReuseAddr => 1); $SIG{TERM} = sub { exit 0 }; while (1) { my $c = $s->accept or next; close $c }\"]\n");
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    for name in ["postgres", "postgresql"] {
        let query = [
            "shell",
            "tiny",
            "--",
            "psql",
            "-h",
            name,
            "-U",
            "shop",
            "-d",
            "orders",
            "-tAc",
            "select 6 * 7",
        ];
        assert_eq!(cli.ok(query).stdout, "42\n", "as {name}");
    }
    let wrong = "PGPASSWORD=wrong psql -h postgres -U shop -d orders -c 'select 1'";
    cli.command(["shell", "tiny", "--", "sh", "-c", wrong])
        .run()
        .ended_with(2);
    cli.ok(["status", "tiny"]).says(&["postgres"]);
}

#[test]
fn any_image_runs_as_a_container_service() {
    let app = App::tiny(
        "tiny",
        "\
services:
  - container:
      name: worker
      image: doprax-test/python:3.11
      command: [python3, -m, http.server, '9000', --directory, /work]
      envs:
        - GREETING: hello
      volumes:
        - name: work
          mount: /work
",
    );
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let ran = cli.ok([
        "shell",
        "tiny",
        "worker",
        "--",
        "sh",
        "-c",
        "echo $GREETING >/work/greeting",
    ]);
    assert_eq!(ran.stdout, "");
    let (code, said) = host.docker.exec(
        "tiny",
        "main",
        &["curl", "-s", "http://worker:9000/greeting"],
    );
    assert_eq!((code, said.as_str()), (0, "hello"));
}
