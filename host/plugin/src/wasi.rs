//! The part of WASI 0.2 that a plain Rust program needs, cut off from the machine:
//! no environment, no arguments, no input, a clock that stands still, a fixed seed.
//! So the same request gives the same answer. What a plugin prints is kept for the
//! error that it may cause.
//!
//! Written by hand, because `wasmtime-wasi` brings an asynchronous runtime and the
//! file system for thirty functions that answer with constants.

use crate::runtime::State;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut, bail};

/// `wasi:io/error.error`
struct StreamFailure;
/// `wasi:io/poll.pollable`
struct Pollable;
/// `wasi:io/streams.input-stream`
struct InputStream;
/// `wasi:io/streams.output-stream`
struct OutputStream;
/// `wasi:cli/terminal-input.terminal-input`
struct TerminalInput;
/// `wasi:cli/terminal-output.terminal-output`
struct TerminalOutput;

/// `wasi:io/streams.stream-error`
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[allow(dead_code)]
    LastOperationFailed(Resource<StreamFailure>),
    #[component(name = "closed")]
    Closed,
}

/// `wasi:clocks/wall-clock.datetime`
#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// How much a plugin may write at once; what is kept is another matter.
const WRITE_AT_ONCE: u64 = 64 << 10;

type Context<'a> = StoreContextMut<'a, State>;

/// A resource that carries nothing, so every handle is as good as another.
fn handle<T: 'static>() -> Resource<T> {
    Resource::new_own(0)
}

/// Adds the interfaces to `linker`.
pub(crate) fn add(linker: &mut Linker<State>) -> Result<()> {
    add_io(linker)?;
    add_cli(linker)?;
    add_terminals(linker)?;

    let mut clock = linker.instance("wasi:clocks/wall-clock@0.2.0")?;
    let midnight = || Datetime {
        seconds: 0,
        nanoseconds: 0,
    };
    clock.func_wrap("now", move |_: Context<'_>, ()| Ok((midnight(),)))?;
    clock.func_wrap("resolution", |_: Context<'_>, ()| {
        Ok((Datetime {
            seconds: 1,
            nanoseconds: 0,
        },))
    })?;

    let mut clock = linker.instance("wasi:clocks/monotonic-clock@0.2.0")?;
    clock.func_wrap("now", |_: Context<'_>, ()| Ok((0u64,)))?;
    clock.func_wrap("resolution", |_: Context<'_>, ()| Ok((1u64,)))?;
    clock.func_wrap("subscribe-instant", |_: Context<'_>, (_,): (u64,)| {
        Ok((handle::<Pollable>(),))
    })?;
    clock.func_wrap("subscribe-duration", |_: Context<'_>, (_,): (u64,)| {
        Ok((handle::<Pollable>(),))
    })?;

    let mut seed = linker.instance("wasi:random/insecure-seed@0.2.0")?;
    seed.func_wrap("insecure-seed", |_: Context<'_>, ()| Ok(((1u64, 2u64),)))
}

fn add_io(linker: &mut Linker<State>) -> Result<()> {
    let mut error = linker.instance("wasi:io/error@0.2.0")?;
    error.resource(
        "error",
        ResourceType::host::<StreamFailure>(),
        |_, _| Ok(()),
    )?;
    error.func_wrap(
        "[method]error.to-debug-string",
        |_: Context<'_>, (_,): (Resource<StreamFailure>,)| Ok((String::new(),)),
    )?;

    let mut poll = linker.instance("wasi:io/poll@0.2.0")?;
    poll.resource("pollable", ResourceType::host::<Pollable>(), |_, _| Ok(()))?;
    poll.func_wrap(
        "[method]pollable.ready",
        |_: Context<'_>, (_,): (Resource<Pollable>,)| Ok((true,)),
    )?;
    poll.func_wrap(
        "[method]pollable.block",
        |_: Context<'_>, (_,): (Resource<Pollable>,)| Ok(()),
    )?;
    poll.func_wrap(
        "poll",
        |_: Context<'_>, (all,): (Vec<Resource<Pollable>>,)| {
            // Everything is ready at once.
            Ok(((0u32..).take(all.len()).collect::<Vec<u32>>(),))
        },
    )?;

    let mut streams = linker.instance("wasi:io/streams@0.2.0")?;
    streams.resource(
        "input-stream",
        ResourceType::host::<InputStream>(),
        |_, _| Ok(()),
    )?;
    streams.resource(
        "output-stream",
        ResourceType::host::<OutputStream>(),
        |_, _| Ok(()),
    )?;
    for name in [
        "[method]input-stream.read",
        "[method]input-stream.blocking-read",
    ] {
        streams.func_wrap(
            name,
            |_: Context<'_>, (_, _): (Resource<InputStream>, u64)| {
                Ok((Err::<Vec<u8>, StreamError>(StreamError::Closed),))
            },
        )?;
    }
    streams.func_wrap(
        "[method]input-stream.subscribe",
        |_: Context<'_>, (_,): (Resource<InputStream>,)| Ok((handle::<Pollable>(),)),
    )?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |_: Context<'_>, (_,): (Resource<OutputStream>,)| {
            Ok((Ok::<u64, StreamError>(WRITE_AT_ONCE),))
        },
    )?;
    for name in [
        "[method]output-stream.write",
        "[method]output-stream.blocking-write-and-flush",
    ] {
        streams.func_wrap(
            name,
            |mut context: Context<'_>, (_, bytes): (Resource<OutputStream>, Vec<u8>)| {
                context.data_mut().keep_output(&bytes);
                Ok((Ok::<(), StreamError>(()),))
            },
        )?;
    }
    for name in [
        "[method]output-stream.flush",
        "[method]output-stream.blocking-flush",
    ] {
        streams.func_wrap(name, |_: Context<'_>, (_,): (Resource<OutputStream>,)| {
            Ok((Ok::<(), StreamError>(()),))
        })?;
    }
    streams.func_wrap(
        "[method]output-stream.subscribe",
        |_: Context<'_>, (_,): (Resource<OutputStream>,)| Ok((handle::<Pollable>(),)),
    )
}

fn add_cli(linker: &mut Linker<State>) -> Result<()> {
    let mut environment = linker.instance("wasi:cli/environment@0.2.0")?;
    environment.func_wrap("get-environment", |_: Context<'_>, ()| {
        Ok((Vec::<(String, String)>::new(),))
    })?;
    environment.func_wrap("get-arguments", |_: Context<'_>, ()| {
        Ok((Vec::<String>::new(),))
    })?;
    environment.func_wrap("initial-cwd", |_: Context<'_>, ()| Ok((None::<String>,)))?;

    let mut exit = linker.instance("wasi:cli/exit@0.2.0")?;
    exit.func_wrap(
        "exit",
        |_: Context<'_>, (_,): (Result<(), ()>,)| -> Result<()> {
            bail!("it ended instead of answering")
        },
    )?;

    let mut stdin = linker.instance("wasi:cli/stdin@0.2.0")?;
    stdin.func_wrap("get-stdin", |_: Context<'_>, ()| {
        Ok((handle::<InputStream>(),))
    })?;
    let mut stdout = linker.instance("wasi:cli/stdout@0.2.0")?;
    stdout.func_wrap("get-stdout", |_: Context<'_>, ()| {
        Ok((handle::<OutputStream>(),))
    })?;
    let mut stderr = linker.instance("wasi:cli/stderr@0.2.0")?;
    stderr.func_wrap("get-stderr", |_: Context<'_>, ()| {
        Ok((handle::<OutputStream>(),))
    })
}

/// A plugin has no terminal.
fn add_terminals(linker: &mut Linker<State>) -> Result<()> {
    let mut input = linker.instance("wasi:cli/terminal-input@0.2.0")?;
    input.resource(
        "terminal-input",
        ResourceType::host::<TerminalInput>(),
        |_, _| Ok(()),
    )?;
    let mut output = linker.instance("wasi:cli/terminal-output@0.2.0")?;
    output.resource(
        "terminal-output",
        ResourceType::host::<TerminalOutput>(),
        |_, _| Ok(()),
    )?;
    let mut stdin = linker.instance("wasi:cli/terminal-stdin@0.2.0")?;
    stdin.func_wrap("get-terminal-stdin", |_: Context<'_>, ()| {
        Ok((None::<Resource<TerminalInput>>,))
    })?;
    let mut stdout = linker.instance("wasi:cli/terminal-stdout@0.2.0")?;
    stdout.func_wrap("get-terminal-stdout", |_: Context<'_>, ()| {
        Ok((None::<Resource<TerminalOutput>>,))
    })?;
    let mut stderr = linker.instance("wasi:cli/terminal-stderr@0.2.0")?;
    stderr.func_wrap("get-terminal-stderr", |_: Context<'_>, ()| {
        Ok((None::<Resource<TerminalOutput>>,))
    })
}
