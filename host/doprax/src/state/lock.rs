//! The state folder as a host takes it: made, opened to a group, and locked, so that one
//! process has it at a time.

use crate::failure::{Failure, Result};
use rustix::fs::{FlockOperation, Mode};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the host that is taken over from may hold on to the state folder.
const HAND_OVER: Duration = Duration::from_secs(60);

/// Holds the state folder until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "it is held open")] File);

/// Makes the state folder, open to nobody else; the group may pass through it.
pub(crate) fn prepare(folder: &Path, group: Option<u32>) -> Result<()> {
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "cannot set up the state folder {}",
            folder.display()
        ))
        .because(&error)
        .help("run as root, or name a folder of your own with --state")
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut mode = Mode::RWXU;
    if let Some(group) = group {
        mode |= Mode::XGRP;
        rustix::fs::chown(folder, None, Some(rustix::fs::Gid::from_raw(group)))
            .map_err(|error| failed(error.into()))?;
    }
    rustix::fs::chmod(folder, mode).map_err(|error| failed(error.into()))
}

/// Takes the state folder for this process, as long as the lock is held. Its file
/// has the process id.
pub(crate) fn take(folder: &Path) -> Result<Lock> {
    let path = folder.join("lock");
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(format!("cannot take the state folder {}", folder.display())).because(error)
    };
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| failed(&error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            let written = file
                .set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()));
            written.map_err(|error| failed(&error))?;
            Ok(Lock(file))
        }
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            // It may not have written it yet.
            let _ = file.read_to_string(&mut holder);
            Err(Failure::new(format!("another host runs with the state folder {} (process {})", folder.display(), holder.trim()))
                .help("end it first, or name another folder with --state (and another --instance on the same engine)"))
        }
        Err(error) => Err(failed(&std::io::Error::from(error))),
    }
}

/// The same when the host that has it is about to let go of it.
pub(crate) async fn take_after(folder: &Path) -> Result<Lock> {
    let end = Instant::now() + HAND_OVER;
    loop {
        match take(folder) {
            Err(failure) if Instant::now() > end => return Err(failure),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            taken => return taken,
        }
    }
}

/// The number of a group, from its name in /etc/group (group(5)) or as it is.
pub(crate) fn group_number(name: &str) -> Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group")
        .map_err(|error| Failure::new("cannot read /etc/group").because(&error))?;
    let number = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    });
    number.ok_or_else(|| {
        Failure::usage(format!("there is no group {name} in /etc/group")).help("a number works too")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_the_state_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path()).unwrap();
        assert!(take(folder.path()).is_err());
        drop(first);
        assert!(take(folder.path()).is_ok());
    }
}
