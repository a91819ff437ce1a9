//! The engine that compiles and runs plugins, and the state of one call.

use crate::limits::Limits;
use crate::watch::{TICK, Watch};
use crate::{error::Error, wasi};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use wasmtime::component::Linker;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Store,
    StoreLimits, StoreLimitsBuilder,
};

/// How many calls may be under way at once.
const CALLS: u32 = 32;

/// How many core instances a component may have; a Rust one has three or four.
const CORE_INSTANCES: u32 = 8;

/// Compiles and runs plugins.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) limits: Limits,
    /// Changes whenever compiled code of before can no longer be loaded.
    pub(crate) compatibility: u64,
    watch: Watch,
}

/// The state of one call.
pub(crate) struct State {
    limits: StoreLimits,
    output: VecDeque<u8>,
    output_size: usize,
}

impl State {
    /// Keeps the last bytes of what a plugin prints.
    pub(crate) fn keep_output(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.output_size)..];
        let surplus = (self.output.len() + bytes.len()).saturating_sub(self.output_size);
        self.output.drain(..surplus);
        self.output.extend(bytes);
    }

    /// The end of what it printed.
    pub(crate) fn output(&mut self) -> String {
        String::from_utf8_lossy(self.output.make_contiguous())
            .trim()
            .to_owned()
    }
}

impl Runtime {
    /// An engine with these limits.
    pub(crate) fn new(limits: Limits) -> Result<Self, Error> {
        let engine = Engine::new(&config(&limits)).map_err(Error::engine)?;
        let mut linker = Linker::new(&engine);
        wasi::add(&mut linker).map_err(Error::engine)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let watch = Watch::start(engine.clone()).map_err(|source| Error::Thread { source })?;
        Ok(Self {
            engine,
            linker,
            limits,
            compatibility: hasher.finish(),
            watch,
        })
    }

    /// Runs one call in a store of its own, within the limits.
    pub(crate) fn call<R>(
        &self,
        call: impl FnOnce(&mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Failure> {
        let mut store = self.store();
        let _watched = self.watch.call();
        call(&mut store).map_err(|error| Failure {
            error,
            output: store.data_mut().output(),
        })
    }

    fn store(&self) -> Store<State> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.limits.memory)
            .table_elements(self.limits.table_elements)
            .trap_on_grow_failure(true)
            .build();
        let state = State {
            limits,
            output: VecDeque::new(),
            output_size: self.limits.output_size,
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limits);
        store
            .set_fuel(self.limits.fuel)
            .expect("the engine counts fuel");
        store.set_hostcall_fuel(self.limits.answer_size);
        let ticks = self.limits.wall_clock.div_duration_f64(TICK).ceil();
        // A tick may come right after the call begins.
        store.set_epoch_deadline(ticks as u64 + 1);
        store
    }
}

/// A call that failed, and the end of what the plugin printed.
pub(crate) struct Failure {
    pub(crate) error: wasmtime::Error,
    pub(crate) output: String,
}

fn config(limits: &Limits) -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(CALLS)
        .total_core_instances(CALLS * CORE_INSTANCES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_memories(CALLS)
        .max_memories_per_component(1)
        .max_memories_per_module(1)
        .total_tables(CALLS * 4)
        .max_tables_per_component(4)
        .max_tables_per_module(4)
        .table_elements(limits.table_elements)
        .max_memory_size(limits.memory)
        .linear_memory_keep_resident(64 << 10)
        // Where the kernel can say which pages were touched (Linux 6.7), only those are
        // cleared.
        .pagemap_scan(Enabled::Auto)
        .table_keep_resident(64 << 10);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        // A plugin runs for microseconds: time is better spent on compiling it less. The
        // faster of the two register allocators is not for code that one distrusts.
        .cranelift_opt_level(OptLevel::None)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(512 << 10)
        .concurrency_support(false)
        // The same request gives the same bytes, on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        // What a plugin printed tells more than where it was.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_of_what_is_printed_are_kept() {
        let mut state = State {
            limits: StoreLimitsBuilder::new().build(),
            output: VecDeque::new(),
            output_size: 4,
        };
        for (printed, kept) in [
            ("", ""),
            ("ab", "ab"),
            ("cd", "abcd"),
            ("e", "bcde"),
            ("123456", "3456"),
            ("7", "4567"),
            (" \n", "67"),
        ] {
            state.keep_output(printed.as_bytes());
            assert_eq!(state.output(), kept);
        }
    }
}
