//! What the contract in `wit/` says, as Rust: generated, one module per world,
//! because a plugin need not have the optional ones.

#![allow(missing_docs, unreachable_pub)]

pub(crate) mod plugin {
    wasmtime::component::bindgen!({ path: "../../wit/v0.1", world: "plugin" });
}

pub(crate) mod judge {
    wasmtime::component::bindgen!({ path: "../../wit/v0.1", world: "judging-plugin" });
}

pub(crate) mod reload {
    wasmtime::component::bindgen!({ path: "../../wit/v0.1", world: "reloading-plugin" });
}
