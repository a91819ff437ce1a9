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
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    // As main would ask, with the password that main has.
    let password = cli
        .ok(["shell", "tiny", "--", "printenv", "PGPASSWORD"])
        .stdout;
    let ask = |name: &str, password: &str| {
        let psql = "PGPASSWORD=$2 exec psql -h $1 -U shop -d orders -tAc 'select 6 * 7'";
        let command = [
            "shell", "tiny", "postgres", "--", "sh", "-c", psql, "sh", name, password,
        ];
        cli.command(command).run()
    };
    for name in ["postgres", "postgresql"] {
        assert_eq!(
            ask(name, password.trim()).succeeded().stdout,
            "42\n",
            "as {name}"
        );
        assert_ne!(ask(name, "wrong").code, 0);
        let (code, address) = host.docker.exec("tiny", "main", &["getent", "hosts", name]);
        assert_eq!(code, 0, "main resolves {name}: {address}");
    }
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
