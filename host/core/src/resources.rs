//! What a container may use of the machine.

use serde::{Deserialize, Serialize};

/// Limits of one container; what is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory: Option<u64>,
    /// Processor time, in thousandths of one processor.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub millicpus: Option<u32>,
    /// Size of the container's own writable layer in bytes, where the engine can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disk: Option<u64>,
}

impl Resources {
    /// These limits, and for each that is absent the one in `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            memory: self.memory.or(other.memory),
            millicpus: self.millicpus.or(other.millicpus),
            disk: self.disk.or(other.disk),
        }
    }
}
