//! What people can do about what a host failed with, or found: the commands are known here,
//! the host has only what is needed to say it.

use doprax_api::server::Refusal;
use doprax_core::domain::objection;
use doprax_reconcile::report::Problem;
use doprax_reconcile::{EngineError, Error, Foreign, Remedies};

/// The words of this program.
pub(crate) const REMEDIES: Remedies = Remedies {
    error: of_error,
    problem: of_problem,
};

/// What to do about an error, where there is something.
fn of_error(error: &Error) -> Option<String> {
    let help = match error {
        Error::NoApp { .. } => "doprax apps lists what is deployed".to_owned(),
        Error::NoContainer { known, .. } => it_has(known),
        Error::Outdated { .. } => "doprax up shows what it takes now, and asks again".to_owned(),
        Error::NotDeployed { .. } => "deploy it with doprax up".to_owned(),
        Error::NoSubnet(_) => {
            "give the host a larger pool (doprax serve --pool CIDR), or remove apps".to_owned()
        }
        Error::Store(error) if error.is_full() => {
            "make room on the disk with the state folder, then do it again".to_owned()
        }
        Error::Engine(error) => return of_engine(error),
        Error::Explained { cause, .. } => cause.help.clone(),
        Error::BuildTimeout { .. } => {
            "the last lines of the build are above; where it only needs longer: doprax serve --build-timeout".to_owned()
        }
        Error::BuiltImageGone => {
            "something removes images from the engine; deploy again".to_owned()
        }
        _ => {
            return of_release(error)
                .or_else(|| of_volume(error))
                .or_else(|| of_variable(error))
                .or_else(|| of_domain(error))
                .or_else(|| of_operation(error))
                .or_else(|| of_container(error));
        }
    };
    Some(help)
}

fn of_engine(error: &EngineError) -> Option<String> {
    let help = match error {
        EngineError::Unreachable { .. } => "is Docker running? doprax doctor tells more",
        EngineError::ImageMissing { .. } => {
            "check the name and the tag; an image that exists only here must be built or loaded on this machine"
        }
        EngineError::BuildFailed { .. } => {
            "correct the Dockerfile or what it copies, then run doprax up again"
        }
        EngineError::Foreign { source, .. } => match source {
            Foreign::Container => {
                "remove it, or give this host a name of its own (doprax serve --instance NAME)"
            }
            Foreign::App => {
                "give this host a name of its own (doprax serve --instance NAME) or the app another name"
            }
        },
        _ => return None,
    };
    Some(help.to_owned())
}

fn of_release(error: &Error) -> Option<String> {
    let help = match error {
        Error::NoRelease { app, known, .. } if known.is_empty() => {
            format!("doprax releases {app} shows those that it has")
        }
        Error::NoRelease { known, .. } => it_has(known),
        Error::NoEarlierRelease { app, .. } => {
            format!("doprax releases {app} shows those that it has")
        }
        Error::CurrentRelease { app, .. } => format!("doprax releases {app} shows the others"),
        Error::LostRelease { .. } => "deploy its source again with doprax up".to_owned(),
        Error::Downgrade { app, to, .. } => format!(
            "volumes are never rolled back. Deploy what else that release had with the present version, or, where you know that the older version reads the data: doprax rollback {app} {to} --allow-downgrade"
        ),
        _ => return None,
    };
    Some(help)
}

fn of_volume(error: &Error) -> Option<String> {
    let help = match error {
        Error::NoVolume { .. } => "doprax volume list shows every volume".to_owned(),
        Error::VolumeInUse { app, .. } => format!(
            "take it out of doprax.yaml and deploy, or remove the app (doprax remove {app}), then remove the volume"
        ),
        Error::VolumeExists { app, volume } => format!(
            "doprax volume remove {app} {:?} takes it and its data away, once nothing mounts it",
            volume.as_str()
        ),
        Error::VolumeGone { app, volumes, .. } => {
            let names: Vec<&str> = volumes.iter().map(|(_, name)| name.as_str()).collect();
            let accept = volumes
                .iter()
                .map(|(volume, _)| format!("doprax volume recreate {app} {:?}", volume.as_str()));
            let accept: Vec<String> = accept.collect();
            format!(
                "bring it back (docker volume create {}, then restore its data), or accept an empty one: {}",
                names.join(" "),
                accept.join("; ")
            )
        }
        _ => return None,
    };
    Some(help)
}

fn of_variable(error: &Error) -> Option<String> {
    let help = match error {
        Error::VariableInUse { .. } => {
            "take it out of doprax.yaml and deploy, then unset it".to_owned()
        }
        Error::NoValues {
            app, names, asked, ..
        } => {
            let first = names.first()?;
            if names.iter().any(|name| asked.contains_key(name)) {
                return Some(format!(
                    "keep them with the app: doprax secret set {app} {first}"
                ));
            }
            format!(
                "set them in the environment of this command ({first}=… doprax up), or keep them \
                 with the app: doprax secret set {app} {first}"
            )
        }
        Error::LongVariable { .. } => {
            "put its value into a file (`files:` in doprax.yaml) or a volume, and name its path in the variable".to_owned()
        }
        _ => return None,
    };
    Some(help)
}

fn of_domain(error: &Error) -> Option<String> {
    let help = match error {
        Error::NoDomain { known, app, .. } if known.is_empty() => {
            format!("doprax domain add {app} NAME gives it one")
        }
        Error::NoDomain { known, .. } => it_has(known),
        Error::DomainTaken { name, app } => format!(
            "doprax domain remove {app} {name} takes it from there, or, where the doprax.yaml of {app} names it, a deploy without it"
        ),
        Error::DomainInUse { .. } => "take it out of doprax.yaml and deploy".to_owned(),
        Error::NotADomain { name } => return objection(name, "").map(|(_, help)| help),
        Error::FreeDomain { base, .. } => format!(
            "name the app so that its address is the wanted one (APP.{base}), or use another domain"
        ),
        _ => return None,
    };
    Some(help)
}

fn of_operation(error: &Error) -> Option<String> {
    let help = match error {
        Error::Busy { operation, .. } => format!("follow it with doprax operation {operation}"),
        Error::QueueFull { app, .. } => format!(
            "doprax operation list {app} shows them; doprax operation cancel ID takes one out"
        ),
        Error::Ended { operation } => {
            format!("doprax operation {operation} shows how it ended")
        }
        _ => return None,
    };
    Some(help)
}

/// About a container that does not serve.
fn of_container(error: &Error) -> Option<String> {
    let help = match error {
        Error::NotSettled {
            cause: Some(cause), ..
        } => format!("{}. The copy before it goes on serving", cause.help),
        Error::NotSettled { container, .. } => format!(
            "look at the log above; {container} listened before it could work, and the copy before it goes on serving"
        ),
        Error::NotReady {
            cause: Some(cause), ..
        } => cause.help.clone(),
        Error::NotReady {
            ended: true, log, ..
        } => {
            let why = if log.is_empty() {
                "it printed nothing"
            } else {
                "the log above says why"
            };
            format!("its process ends by itself; {why}")
        }
        Error::NotReady {
            container,
            seconds: Some(_),
            ..
        } => {
            let key = if container.is_main() {
                "main".to_owned()
            } else {
                format!("services: {container}")
            };
            format!(
                "look at the log above; where {container} only needs longer, raise its \
                 timeout ({key}: health: {{ timeout: 600s }})"
            )
        }
        Error::NotReady { .. } => "look at the log above".to_owned(),
        _ => return None,
    };
    Some(help)
}

/// Those that there are, where a wanted one is not among them.
fn it_has(known: &[impl ToString]) -> String {
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    format!("it has {}", known.join(", "))
}

/// What to do about what the API refuses.
pub(crate) fn of_refusal(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoSuchPath => {
            "the host may be older or newer than this client: compare `doprax --version` on both"
        }
        Refusal::NoToken => {
            "set DOPRAX_TOKEN to the content of STATE/api-token on the host's machine"
        }
        Refusal::NoHttps => "serve with --https ADDRESS:PORT",
    }
}

/// What to do about what `doctor` found.
fn of_problem(problem: &Problem) -> String {
    let help = match problem {
        Problem::EngineAway => {
            "start it (systemctl start docker), or say where it is: doprax serve --engine unix:///PATH"
        }
        Problem::EngineOld => "update it to Docker 20.10 or newer",
        Problem::NoBuildKit => "update Docker",
        Problem::NoLimits => "enable the cgroup controllers in the kernel's command line",
        Problem::NoInit => "install docker-init, which comes with Docker, or the package tini",
        Problem::NoDiskLimit => "put the engine's data on XFS mounted with pquota",
        Problem::LargeBuildCache => {
            "docker builder prune empties it; doprax serve --build-cache SIZE bounds it after each build"
        }
        Problem::NoState => "check the state folder's disk",
        Problem::PoolExhausted => "doprax serve --pool with a larger network",
        Problem::PoolRouted => "choose a pool that nothing else uses: doprax serve --pool CIDR",
        Problem::NetworksUnknown => "see what doctor says about the engine and the state folder",
        Problem::Shadowed { app } => {
            return format!(
                "remove the route, or give the app another network: doprax stop {app}, then doprax start {app}"
            );
        }
        Problem::SubnetTaken { app } => {
            return format!("doprax start {app}, or its next deploy, gives it another one");
        }
        Problem::NotIsolated => {
            "run the host as root on the engine's machine with iptables installed, block it by other means, or accept it: doprax serve --allow-metadata"
        }
        Problem::NamesLost => {
            "browsers resolve *.localhost by themselves; for another base domain add a wildcard DNS record"
        }
    };
    help.to_owned()
}

#[cfg(test)]
mod tests;
