//! Builds of the engine in memory: of a Dockerfile it understands `FROM`, `ENV`, `EXPOSE`,
//! `VOLUME`, and `RUN` with `echo` and `exit`.

use super::image::FakeImage;
use crate::{Error, Event, Progress};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

/// The image that a source archive gives.
pub(super) fn build(
    archive: &Path,
    dockerfile: &str,
    images: &BTreeMap<String, FakeImage>,
    progress: &Progress,
) -> Result<FakeImage, Error> {
    let unreadable = |source: std::io::Error| Error::Failed {
        action: format!("read {}", archive.display()),
        source: Box::new(source),
    };
    let text = read(archive, dockerfile).map_err(unreadable)?;
    let failed = |step: &str, output: Vec<String>, reason: String| Error::BuildFailed {
        step: step.to_owned(),
        output,
        reason,
    };
    let Some(text) = text else {
        let reason = format!("failed to read dockerfile: {dockerfile}: no such file or directory");
        return Err(failed("the Dockerfile", Vec::new(), reason));
    };
    let count = text.lines().filter(|line| !line.trim().is_empty()).count();
    let mut image = FakeImage::new([]);
    for (number, line) in text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .enumerate()
    {
        let step = format!("[{}/{count}] {line}", number + 1);
        progress(Event::Build(step.clone()));
        match line.split_once(' ').unwrap_or((line, "")) {
            ("FROM", base) if !images.contains_key(base) => {
                return Err(failed(&step, Vec::new(), format!("{base}: not found")));
            }
            // Containers behave as those of the base do.
            ("FROM", base) => image = images[base].clone(),
            ("ENV", assigned) => {
                let (name, value) = assigned.split_once('=').unwrap_or((assigned, ""));
                image.env.insert(name.to_owned(), value.to_owned());
            }
            ("EXPOSE", exposed) => {
                let exposed = exposed.split(' ');
                image
                    .ports
                    .extend(exposed.filter_map(|port| port.parse::<u16>().ok()));
                image.ports.sort_unstable();
            }
            ("VOLUME", folder) => image = image.keeps(folder),
            ("RUN", script) => {
                let (output, code) = run(script);
                for line in &output {
                    progress(Event::Build(line.clone()));
                }
                if code != 0 {
                    let reason = format!("\"{script}\" did not complete: exit code: {code}");
                    return Err(failed(&step, output, reason));
                }
            }
            _ => {}
        }
    }
    Ok(image)
}

fn read(archive: &Path, name: &str) -> std::io::Result<Option<String>> {
    let mut archive = tar::Archive::new(std::fs::File::open(archive)?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?;
        if path.strip_prefix("./").unwrap_or(&path) == Path::new(name) {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn run(script: &str) -> (Vec<String>, i32) {
    let mut output = Vec::new();
    for command in script.split("&&").map(str::trim) {
        match command.split_once(' ') {
            Some(("echo", words)) => output.push(words.to_owned()),
            Some(("exit", code)) => return (output, code.parse().unwrap_or(1)),
            _ => {}
        }
    }
    (output, 0)
}
