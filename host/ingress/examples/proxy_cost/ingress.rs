//! The ingress under measurement, in a process of its own.

use crate::Proxy;
use crate::certificates::{Served, host};
use crate::peer::free_port;
use crate::process::{Place, Process, command, processors};
use doprax_core::name::AppName;
use doprax_core::route::{Route, Routes, Target};
use doprax_ingress::{AccessLog, Config, Ingress, Start};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long records are left to gather.
const GATHERING: Duration = Duration::from_millis(20);

/// Starts it; with records of every request if `recorded`.
pub(crate) fn start(folder: &Path, names: usize, origin: u16, recorded: bool) -> Proxy {
    let (http, https) = (free_port(), free_port());
    let this = std::env::current_exe().unwrap();
    let mut serve = command(Place::Proxy, this.to_str().unwrap());
    serve.arg("serve");
    serve.args([http, https, origin].map(|port| port.to_string()));
    serve.args([names.to_string(), recorded.to_string()]);
    serve.arg(folder);
    Proxy {
        name: if recorded { "with log" } else { "ingress" },
        http,
        https,
        process: Process::start(serve, &[http, https]),
    }
}

/// The process under measurement.
pub(crate) fn serve(arguments: &[String]) {
    let port = |at: usize| -> u16 { arguments[at].parse().unwrap() };
    let (http, https, origin) = (port(0), port(1), port(2));
    let names: usize = arguments[3].parse().unwrap();
    let folder = Path::new(&arguments[5]);
    let mut config = Config::new(vec![([127, 0, 0, 1], http).into()]);
    config.threads = NonZeroUsize::new(processors()).unwrap();
    config.limits.connections_per_client = config.limits.connections;
    if arguments[4] == "true" {
        let (sender, mut records) = mpsc::channel(8_192);
        config.access_log = Some(AccessLog {
            records: sender,
            health_checks: false,
        });
        // As the host reads them.
        std::thread::spawn(move || {
            while records.blocking_recv().is_some() {
                std::thread::sleep(GATHERING);
                while records.try_recv().is_ok() {}
            }
        });
    }
    // Two of them, lest HTTP be sent to HTTPS.
    let plain = Ingress::start(config.clone()).unwrap();
    config.https = vec![([127, 0, 0, 1], https).into()];
    config.http.clear();
    let start = Start {
        certificates: Arc::new(Served::read(folder, names)),
        ..Start::default()
    };
    let secure = Ingress::start_with(config, start).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], origin));
    // Domains of one app, as the peers have one backend: connections to a container are
    // never shared between apps.
    let route = Route::new(AppName::new("bench").unwrap(), Target::Address(address));
    let routes: Routes = (0..names)
        .map(|number| (host(number), route.clone()))
        .collect();
    plain.publish(routes.clone());
    secure.publish(routes);
    loop {
        std::thread::park();
    }
}
