//! What the contract in `wit/` says, as Rust: generated, one module per world, so
//! that a plugin exports only the interfaces that it has.
//!
//! The types are those that plugins work with; other modules add constructors.

#![allow(unsafe_code, unreachable_pub, missing_docs, clippy::unwrap_used)]
#![allow(clippy::module_inception)]

pub mod plugin {
    wit_bindgen::generate!({
        path: "../wit/v0.1",
        world: "plugin",
        pub_export_macro: true,
        export_macro_name: "export_service",
        additional_derives: [PartialEq, serde::Serialize],
    });
}

pub mod judge {
    wit_bindgen::generate!({
        path: "../wit/v0.1",
        world: "judging-plugin",
        pub_export_macro: true,
        export_macro_name: "export_judge",
        additional_derives: [PartialEq],
    });
}

pub mod reload {
    wit_bindgen::generate!({
        path: "../wit/v0.1",
        world: "reloading-plugin",
        pub_export_macro: true,
        export_macro_name: "export_reload",
    });
}
