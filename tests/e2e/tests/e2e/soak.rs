//! Every planned change under the eyes of every kind of client, once or twice. The program
//! that does it goes on for hours where it is asked to.

use doprax_e2e::{binary, engine};
use std::process::Command;

#[test]
fn no_planned_change_fails_a_request() {
    let Some(engine) = engine() else { return };
    let output = Command::new(env!("CARGO_BIN_EXE_doprax-soak"))
        .arg("--short")
        .env("DOPRAX_TEST_ENGINE", engine)
        .env("DOPRAX_BINARY", binary())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
