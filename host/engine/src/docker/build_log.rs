//! The progress of a build, from what BuildKit or the classic builder says of it:
//! lines for people, and at a failure the step at fault with its last lines.

use bollard::moby::buildkit::v1::{StatusResponse, Vertex};
use std::collections::{HashMap, VecDeque};

/// How many lines of a failing step are kept.
const KEPT: usize = 20;

/// What is known of a build.
#[derive(Debug, Default)]
pub(super) struct BuildLog {
    steps: HashMap<String, Step>,
    /// Key of the step at fault; with the classic builder, of the latest one.
    current: Option<String>,
    failed: bool,
}

/// One step of a build.
#[derive(Debug, Default)]
struct Step {
    name: String,
    announced: bool,
    last: VecDeque<String>,
    /// The beginning of a line whose end is still to come.
    partial: Vec<u8>,
}

impl Step {
    /// Takes what the step printed; returns the lines that are complete now.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.partial.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            lines.push(self.keep(&line));
        }
        lines
    }

    fn keep(&mut self, line: &[u8]) -> String {
        let line = String::from_utf8_lossy(line);
        // What a progress bar wrote over is not shown again.
        let line = line.trim_end_matches(['\r', '\n']);
        let line = line.rsplit('\r').next().unwrap_or_default().to_owned();
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        line
    }
}

impl BuildLog {
    /// Takes BuildKit's status; returns lines for people.
    pub(super) fn status(&mut self, status: StatusResponse) -> Vec<String> {
        let mut lines = Vec::new();
        for vertex in status.vertexes {
            lines.extend(self.vertex(vertex));
        }
        for log in status.logs {
            lines.extend(self.steps.entry(log.vertex).or_default().take(&log.msg));
        }
        lines
    }

    fn vertex(&mut self, vertex: Vertex) -> Option<String> {
        let is_started = vertex.started.is_some();
        // Other steps end too when one fails; theirs is not the reason.
        let is_at_fault = !vertex.error.is_empty() && !vertex.error.contains("context canceled");
        if is_at_fault && !self.failed {
            self.failed = true;
            self.current = Some(vertex.digest.clone());
        }
        let step = self.steps.entry(vertex.digest).or_default();
        step.name.clone_from(&vertex.name);
        let is_internal = vertex.name.starts_with("[internal]");
        if step.announced || !is_started || is_internal {
            return None;
        }
        step.announced = true;
        Some(if vertex.cached {
            format!("{} (cached)", vertex.name)
        } else {
            vertex.name
        })
    }

    /// Takes output of the classic builder, where steps come one after the other.
    pub(super) fn classic(&mut self, text: &str) -> Vec<String> {
        // "Step 2/5 : RUN make" begins a step.
        if let Some((number, instruction)) = text
            .strip_prefix("Step ")
            .and_then(|rest| rest.split_once(" : "))
            .filter(|(number, _)| number.contains('/'))
        {
            let name = format!("[{number}] {}", instruction.trim_end());
            self.current = Some(name.clone());
            self.steps.insert(
                name.clone(),
                Step {
                    name: name.clone(),
                    ..Step::default()
                },
            );
            return vec![name];
        }
        let step = self
            .steps
            .entry(self.current.clone().unwrap_or_default())
            .or_default();
        let mut lines = step.take(text.as_bytes());
        // What the builder says of itself (" ---> 5d0da3dc9764") is no output.
        let is_own = |line: &String| {
            line.is_empty()
                || line.starts_with(" --->")
                || line.starts_with("Removing intermediate container ")
        };
        step.last.retain(|line| !is_own(line));
        lines.retain(|line| !is_own(line));
        lines
    }

    /// The step at fault and the last lines it printed, after a failure.
    pub(super) fn into_failure(mut self) -> (String, Vec<String>) {
        let step = self.current.and_then(|key| self.steps.remove(&key));
        let mut step = step.unwrap_or_default();
        if !step.partial.is_empty() {
            let rest = std::mem::take(&mut step.partial);
            step.keep(&rest);
        }
        let name = if step.name.is_empty() {
            "the Dockerfile".to_owned()
        } else {
            step.name
        };
        (name, step.last.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::moby::buildkit::v1::VertexLog;

    fn vertex(digest: &str, name: &str, error: &str) -> Vertex {
        Vertex {
            digest: digest.to_owned(),
            name: name.to_owned(),
            error: error.to_owned(),
            started: Some(Default::default()),
            ..Vertex::default()
        }
    }

    fn printed(digest: &str, text: &str) -> VertexLog {
        VertexLog {
            vertex: digest.to_owned(),
            msg: text.into(),
            ..VertexLog::default()
        }
    }

    #[test]
    fn the_failing_step_has_its_own_last_lines() {
        let mut log = BuildLog::default();
        let lines = log.status(StatusResponse {
            vertexes: vec![
                vertex("i", "[internal] load build context", ""),
                vertex("a", "[1/2] RUN a", ""),
                vertex("b", "[2/2] RUN b", ""),
            ],
            logs: vec![printed("a", "10%\r100%\nhal"), printed("b", "other\n")],
            ..StatusResponse::default()
        });
        assert_eq!(lines, ["[1/2] RUN a", "[2/2] RUN b", "100%", "other"]);
        let many: String = (0..30).map(|n| format!("f{n}\n")).collect();
        log.status(StatusResponse {
            logs: vec![printed("a", &many)],
            ..StatusResponse::default()
        });
        log.status(StatusResponse {
            vertexes: vec![
                vertex("a", "[1/2] RUN a", "exit code: 3"),
                vertex("b", "[2/2] RUN b", "context canceled"),
            ],
            logs: vec![printed("a", "no end of line")],
            ..StatusResponse::default()
        });
        let (step, output) = log.into_failure();
        assert_eq!(step, "[1/2] RUN a");
        assert_eq!(output.len(), KEPT);
        assert_eq!(output.last().map(String::as_str), Some("no end of line"));
        assert_eq!(output[0], "f11");
    }

    #[test]
    fn the_classic_builders_steps_have_numbers_too() {
        let mut log = BuildLog::default();
        let mut lines = Vec::new();
        for text in [
            "Step 1/2 : FROM a\n",
            " ---> 5d0d\n",
            "Step 2/2 : RUN make\n",
            "cc x.c\n",
            "error\n",
        ] {
            lines.extend(log.classic(text));
        }
        assert_eq!(lines, ["[1/2] FROM a", "[2/2] RUN make", "cc x.c", "error"]);
        let (step, output) = log.into_failure();
        assert_eq!((step.as_str(), output.len()), ("[2/2] RUN make", 2));
    }

    #[test]
    fn a_failure_before_any_step_is_the_dockerfiles() {
        assert_eq!(BuildLog::default().into_failure().0, "the Dockerfile");
    }
}
