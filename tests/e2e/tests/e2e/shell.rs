//! Commands in containers: in a pipe and on a terminal.

use crate::deployed;
use doprax_e2e::{App, Terminal};

#[test]
fn in_a_pipe_input_output_and_exit_code_are_the_commands() {
    let app = App::tiny(
        "tiny",
        "services:\n  - redis:\n      image: doprax-test/redis:7\n",
    );
    let Some(host) = deployed(&app) else { return };
    let cli = host.cli();
    let ran = cli.fails(
        7,
        [
            "shell",
            "tiny",
            "--",
            "sh",
            "-c",
            "echo out; echo err >&2; exit 7",
        ],
    );
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("out\n", "err\n")
    );
    let ran = cli.ok(["shell", "tiny", "redis", "--", "redis-cli", "ping"]);
    assert_eq!(ran.stdout, "PONG\n");

    let ran = cli
        .command(["shell", "tiny", "--", "sort"])
        .input("b\nc\na\n")
        .run()
        .succeeded();
    assert_eq!(ran.stdout, "a\nb\nc\n");
    let large = vec![b'x'; 8 << 20];
    let ran = cli
        .command(["shell", "tiny", "--", "wc", "-c"])
        .input(large)
        .run()
        .succeeded();
    assert_eq!(ran.stdout.trim(), (8 << 20).to_string());
    let ran = cli.ok(["shell", "tiny", "--", "head", "-c", "8388608", "/dev/zero"]);
    assert_eq!(ran.stdout.len(), 8 << 20);
    // Without a command it is a shell, which reads what it is given.
    let ran = cli
        .command(["shell", "tiny"])
        .input("hostname\nexit 3\n")
        .run()
        .ended_with(3);
    assert_eq!(ran.stdout, "main\n");

    let missing = cli
        .command(["shell", "tiny", "--", "no-such-command"])
        .run();
    assert!(
        [126, 127].contains(&missing.code) || missing.stderr.contains("no-such-command"),
        "{missing}"
    );
    assert_ne!(missing.code, 0, "{missing}");
    cli.fails(1, ["shell", "tiny", "nothing", "--", "true"])
        .says(&["no container nothing"]);
    cli.fails(1, ["shell", "nothing", "--", "true"])
        .says(&["no app nothing"]);
}

/// Asks for the terminal's size until it is this: an engine tells a command its size only
/// once it runs.
#[track_caller]
fn sees(terminal: &mut Terminal, size: &str) {
    doprax_e2e::wait_for(&format!("a size of {size}"), 20, || {
        terminal.press("stty size\n");
        terminal.shows(size).then_some(())
    });
}

#[test]
fn on_a_terminal_size_keys_and_exit_code_are_right() {
    let app = App::tiny("tiny", "");
    let Some(host) = deployed(&app) else { return };
    let mut terminal = Terminal::start(&host.cli(), &["shell", "tiny"], 99, 33);
    sees(&mut terminal, "33 99");
    terminal.resize(120, 40);
    sees(&mut terminal, "40 120");
    // The prompt's shell lives on; only what it runs is interrupted.
    terminal.press("sleep 1000; echo ended with $?\n");
    // Ctrl-C throws away what was typed and not yet read.
    doprax_e2e::wait_for("the command to run", 20, || {
        let processes = host.docker.processes("tiny", "main");
        processes.contains("sleep 1000").then_some(())
    });
    terminal.press("\u{3}");
    terminal.press("echo still $((40 + 2))\n");
    terminal.wait_for("still 42");
    terminal.press("exit 5\n");
    assert_eq!(terminal.end(), 5);
}

#[test]
fn on_a_terminal_a_deploy_asks_first() {
    let app = App::tiny("tiny", "");
    let Some(host) = crate::host() else { return };
    for (answer, code) in [("n\n", 1), ("\n", 1), ("y\n", 0)] {
        let mut terminal = Terminal::start(&host.cli(), &["up", app.path()], 100, 40);
        terminal.wait_for("Apply?");
        assert_eq!(
            host.docker.names("container", "tiny"),
            [""; 0],
            "nothing happens before the answer"
        );
        terminal.press(answer);
        assert_eq!(terminal.end(), code, "after {answer:?}");
    }
    assert_eq!(
        host.site("tiny").get("/").with_status(200).text(),
        "first\n"
    );
}
