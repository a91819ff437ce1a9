//! Takes over from a host, and fails. How is in the file `fails` beside the program:
//!
//! * `at-once`: before it says anything;
//! * `with-the-folder`: it ends when it has the state folder;
//! * `never`: it has the state folder, and does nothing with it until it is killed;
//! * `after-a-change`: it ends and leaves a database that no host can open.
#![allow(clippy::unwrap_used, reason = "it fails anyway")]

use std::fs::File;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

fn main() {
    let beside = std::env::current_exe().unwrap().with_file_name("fails");
    let fails = std::fs::read_to_string(beside).unwrap();
    if fails == "at-once" {
        std::process::exit(1);
    }
    let predecessor = std::env::var_os("DOPRAX_PREDECESSOR").unwrap();
    let mut stream = UnixStream::connect(predecessor).unwrap();
    stream.write_all(b"waiting\n").unwrap();

    let mut arguments = std::env::args_os().skip_while(|argument| argument != "--state");
    let state = PathBuf::from(arguments.nth(1).unwrap());
    let lock = File::options().write(true).open(state.join("lock"));
    let mut lock = lock.unwrap();
    lock.lock().unwrap();
    lock.set_len(0).unwrap();
    writeln!(lock, "{}", std::process::id()).unwrap();
    if fails == "never" {
        loop {
            std::thread::park();
        }
    }
    if fails == "after-a-change" {
        let database = state.join("doprax.db");
        std::fs::rename(&database, state.join("doprax.db.away")).unwrap();
        std::fs::create_dir(database).unwrap();
    }
    std::process::exit(1);
}
