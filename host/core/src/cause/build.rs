//! Why a build failed.

use super::{Cause, of_full_disk};
use crate::dockerfile::{has_here_document, syntax};

/// Why the build of a Dockerfile failed: `reason` is what the engine said, `output` the
/// last lines that the failing step printed.
pub fn of_build(reason: &str, output: &[String], dockerfile: &str) -> Option<Cause> {
    let lower = reason.to_ascii_lowercase();
    let printed = |part: &str| output.iter().any(|line| line.contains(part));
    if let Some(image) = syntax(dockerfile)
        && !lower.contains("parse error")
        && (lower.contains(image_name(&image)) || lower.contains("gateway.v0"))
    {
        return Some(Cause::new(
            format!(
                "the line `# syntax={image}` asks for a builder from a registry, and it did not come from there"
            ),
            "remove the line where nothing in the Dockerfile needs it: the engine has a builder of its own; else give the engine a way to the registry",
        ));
    }
    if has_here_document(dockerfile)
        && (lower.contains("unknown instruction") || lower.contains("<<"))
    {
        return Some(Cause::new(
            "this engine's builder does not know here-documents (`<<EOF`)",
            "update the engine (Docker 23 and newer know them), or write the lines with `&&` and `printf`",
        ));
    }
    if lower.contains("exec format error") || printed("exec format error") {
        return Some(Cause::new(
            "the base image, or a program in it, is for another processor",
            "name a base image for this machine's processor (`FROM --platform=linux/amd64 …`)",
        ));
    }
    if printed("not a git repository") {
        return Some(Cause::new(
            "the build looks for the Git repository, and .git is not sent",
            "write `!.git` in .dockerignore to send it, or give the build what it asks Git for in another way, such as an ARG",
        ));
    }
    if lower.contains("^m") || printed("\r: not found") || printed("^M: bad interpreter") {
        return Some(Cause::new(
            "a script has Windows line ends (CRLF)",
            "save it with Unix line ends (`sed -i 's/\\r$//' FILE`); where Git makes them, `*.sh text eol=lf` in .gitattributes keeps it so",
        ));
    }
    if let Some(path) = not_found(reason) {
        return Some(Cause::new(
            format!("{path} is not in the source that was sent"),
            "does it exist, spelt so? does .dockerignore leave it out? .git and what doprax.yaml mounts are left out unless `!PATH` there brings them back",
        ));
    }
    if lower.contains("exit code: 137") || lower.contains("returned a non-zero code: 137") {
        return Some(Cause::new(
            "the step was killed: the machine had no memory left",
            "give the machine more memory or swap, or have the build use less: fewer jobs at a time",
        ));
    }
    of_full_disk(reason).or_else(|| output.iter().find_map(|line| of_full_disk(line)))
}

/// An image's name without registry and tag, as errors have it.
fn image_name(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// The path that a COPY or ADD did not find: `"/x": not found`, `stat x: file does not
/// exist`.
fn not_found(reason: &str) -> Option<&str> {
    if !reason.contains("cache key") && !reason.starts_with("COPY failed") {
        return None;
    }
    let parts: Vec<&str> = reason.split('"').collect();
    let is_said = |rest: &str| rest.starts_with(": not found") || rest.starts_with(" not found");
    if let Some(pair) = parts.windows(2).find(|pair| is_said(pair[1])) {
        return Some(pair[0]);
    }
    let (before, _) = reason.split_once(": file does not exist")?;
    before.rsplit([' ', '"']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_build_is_told_by_what_was_said() {
        let plain = "FROM a\nCOPY x /\n";
        let here = "FROM a\nRUN <<EOF\necho a\nEOF\n";
        let syntax = "# syntax=docker/dockerfile:1.7\nFROM a\n";
        let cases = [
            (
                here,
                "dockerfile parse error line 3: unknown instruction: ECHO",
                "",
                "here-documents",
                "Docker 23",
            ),
            (
                syntax,
                "failed to solve: failed to do request: Head \"https://x/v2/docker/dockerfile/manifests/1.7\"",
                "",
                "# syntax=docker/dockerfile:1.7",
                "remove the line",
            ),
            (
                syntax,
                "failed to solve with frontend gateway.v0: no route",
                "",
                "asks for a builder",
                "registry",
            ),
            (
                plain,
                "failed to compute cache key: \"/x\" not found: not found",
                "",
                "/x is not in the source",
                "spelt",
            ),
            (
                plain,
                "failed to solve: failed to compute cache key: failed to calculate checksum of ref a::b: \"/x\": not found",
                "",
                "/x is not in the source",
                ".dockerignore",
            ),
            (
                plain,
                "COPY failed: file not found in build context or excluded by .dockerignore: stat x: file does not exist",
                "",
                "x is not in the source",
                "!PATH",
            ),
            (
                plain,
                "process \"/bin/sh -c git describe\" did not complete successfully: exit code: 128",
                "fatal: not a git repository",
                ".git is not sent",
                "!.git",
            ),
            (
                plain,
                "exit code: 127",
                "/bin/sh: 1: ./a.sh\r: not found",
                "CRLF",
                "eol=lf",
            ),
            (
                plain,
                "process \"/bin/sh -c make\" did not complete successfully: exit code: 137",
                "",
                "no memory",
                "swap",
            ),
            (
                plain,
                "exit code: 1",
                "cp: write error: no space left on device",
                "disk is full",
                "prune",
            ),
            (
                plain,
                "exec /bin/sh: exec format error",
                "",
                "another processor",
                "--platform",
            ),
        ];
        for (dockerfile, reason, printed, text, help) in cases {
            let output = [printed.to_owned()];
            match of_build(reason, &output, dockerfile) {
                Some(cause) => {
                    assert!(
                        !text.is_empty() && cause.text.contains(text),
                        "{reason}: {cause:?}"
                    );
                    assert!(cause.help.contains(help), "{reason}: {cause:?}");
                }
                None => assert_eq!(text, "", "{reason}"),
            }
        }
        assert_eq!(of_build("exit code: 2", &[], plain), None);
        assert_eq!(of_build("exit code: 2", &[], syntax), None);
    }
}
