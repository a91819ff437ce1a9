//! What a plugin may use up.

use std::time::Duration;

/// What a plugin may use up, per call unless it says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a component that is loaded.
    pub component_size: usize,
    /// Units of work; one is about one WebAssembly instruction.
    pub fuel: u64,
    /// Duration.
    pub wall_clock: Duration,
    /// Bytes of memory.
    pub memory: usize,
    /// Elements of all its tables.
    pub table_elements: usize,
    /// Bytes that it may hand to the host, its answer included.
    pub answer_size: usize,
    /// Bytes kept of what it prints: the last ones.
    pub output_size: usize,
}

impl Default for Limits {
    /// Some hundred times what the built-in plugins use.
    fn default() -> Self {
        Self {
            component_size: 4 << 20,
            fuel: 100_000_000,
            wall_clock: Duration::from_secs(1),
            memory: 32 << 20,
            table_elements: 10_000,
            answer_size: 2 << 20,
            output_size: 8 << 10,
        }
    }
}
