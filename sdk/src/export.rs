//! From the traits that an author implements to the functions that a host calls.

use crate::judge::exports::doprax::plugin::judge as judge_interface;
use crate::plugin_world::exports::doprax::plugin::service as service_interface;
use crate::reload::exports::doprax::plugin::reload as reload_interface;
use crate::{Diagnostic, Judge, Metadata, Observation, Plugin, Reload, Request, Service};
use crate::{Target, Verdict, metadata, settings};
use std::marker::PhantomData;

/// The schema of the settings as the build script worked it out, if there is one.
pub trait Built {
    /// JSON Schema.
    const SETTINGS: Option<&'static str>;
}

/// Answers the host's calls through the traits of `P`.
pub struct Adapter<P, B>(PhantomData<(P, B)>);

impl<P: Plugin, B: Built> service_interface::Guest for Adapter<P, B> {
    fn describe() -> Metadata {
        match B::SETTINGS {
            Some(schema) => Metadata {
                settings: schema.to_owned(),
                ..P::metadata()
            },
            None => metadata::complete::<P>(),
        }
    }

    fn plan(request: Request) -> Result<Service, Vec<Diagnostic>> {
        let settings = settings::parse(&request.settings).map_err(|wrong| vec![wrong])?;
        P::plan(&request, settings)
    }
}

impl<P: Judge, B: Built> judge_interface::Guest for Adapter<P, B> {
    fn judge(service: String, observations: Vec<Observation>) -> Verdict {
        P::judge(&service, &observations)
    }
}

impl<P: Reload, B: Built> reload_interface::Guest for Adapter<P, B> {
    fn command(target: Target) -> Option<Vec<String>> {
        P::command(&target)
    }
}

/// Makes the crate a plugin: `export!(Type)`, and with the optional interfaces that
/// the type implements `export!(Type: judge)`, `export!(Type: reload)` or
/// `export!(Type: judge, reload)`. Does nothing where the crate is not built for
/// WebAssembly, so that tests run natively.
#[macro_export]
macro_rules! export {
    ($plugin:ty $(: $($interface:ident),+)?) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            struct Built;
            impl $crate::Built for Built {
                const SETTINGS: Option<&'static str> = option_env!("DOPRAX_SETTINGS");
            }
            type Exported = $crate::Adapter<$plugin, Built>;
            $crate::plugin_world::export_service!(Exported with_types_in $crate::plugin_world);
            $($($crate::__export_interface!(Exported $interface);)+)?
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_interface {
    ($exported:ident judge) => {
        $crate::judge::export_judge!($exported with_types_in $crate::judge);
    };
    ($exported:ident reload) => {
        $crate::reload::export_reload!($exported with_types_in $crate::reload);
    };
}
