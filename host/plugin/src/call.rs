//! One plugin, ready to be called.

use crate::answer;
use crate::bindings::judge::{JudgingPluginIndices, exports::doprax::plugin::judge as wit_judge};
use crate::bindings::plugin::PluginIndices;
use crate::bindings::reload::ReloadingPluginIndices;
use crate::error::{DescribeError, Error, Exceeded};
use crate::image;
use crate::info::Grants;
use crate::metadata::{self, Metadata};
use crate::reason::Wrong;
use crate::request;
use crate::runtime::{Failure, Runtime, State};
use crate::value;
use doprax_core::name::ServiceName;
use doprax_core::probe::{Observation, Verdict};
use doprax_core::service::{DescribeRequest, ServiceDescription, SettingDiagnostic};
use wasmtime::Trap;
use wasmtime::component::InstancePre;

/// The most bytes of an observation that a plugin is shown.
const OBSERVED: usize = 64 << 10;

/// One plugin, ready to be called.
pub(crate) struct Callable {
    /// Its name, for errors.
    pub(crate) name: String,
    instance: InstancePre<State>,
    service: PluginIndices,
    judge: Option<JudgingPluginIndices>,
    reload: Option<ReloadingPluginIndices>,
}

impl Callable {
    /// Finds the interfaces that a component exports.
    pub(crate) fn new(name: String, instance: InstancePre<State>) -> Result<Self, Error> {
        let service = PluginIndices::new(&instance).map_err(|error| Error::Contract {
            plugin: name.clone(),
            source: error.into(),
        })?;
        let judge = JudgingPluginIndices::new(&instance).ok();
        let reload = ReloadingPluginIndices::new(&instance).ok();
        Ok(Self {
            name,
            instance,
            service,
            judge,
            reload,
        })
    }

    pub(crate) fn judges(&self) -> bool {
        self.judge.is_some()
    }

    pub(crate) fn reloads(&self) -> bool {
        self.reload.is_some()
    }

    /// Checks that the exports have the types of the contract, by making an
    /// instance, and asks the plugin what it is.
    pub(crate) fn metadata(&self, runtime: &Runtime) -> Result<Metadata, Error> {
        let mut typed = false;
        let metadata = runtime.call(|store| {
            let instance = self.instance.instantiate(&mut *store)?;
            if let Some(judge) = &self.judge {
                judge.load(&mut *store, &instance)?;
            }
            if let Some(reload) = &self.reload {
                reload.load(&mut *store, &instance)?;
            }
            let plugin = self.service.load(&mut *store, &instance)?;
            typed = true;
            plugin.doprax_plugin_service().call_describe(store)
        });
        let metadata = metadata.map_err(|failure| match typed {
            true => self.failed(failure),
            false => self.unfit(failure),
        })?;
        metadata::check(metadata).map_err(|wrong| self.wrong(wrong))
    }

    /// What the service of this request is made of.
    pub(crate) fn describe(
        &self,
        runtime: &Runtime,
        request: &DescribeRequest,
        grants: &Grants,
    ) -> Result<ServiceDescription, DescribeError> {
        if let Some(version) = request.version.as_ref().filter(|tag| !image::is_tag(tag)) {
            return Err(DescribeError::Diagnostics(vec![not_a_tag(version)]));
        }
        let wanted = request::plan(request);
        let (answer, command) = runtime
            .call(|store| {
                let instance = self.instance.instantiate(&mut *store)?;
                let plugin = self.service.load(&mut *store, &instance)?;
                let answer = plugin
                    .doprax_plugin_service()
                    .call_plan(&mut *store, &wanted)?;
                let (Ok(_), Some(reload)) = (&answer, &self.reload) else {
                    return Ok((answer, None));
                };
                let target = request::reload(request);
                let plugin = reload.load(&mut *store, &instance)?;
                let command = plugin.doprax_plugin_reload().call_command(store, &target)?;
                Ok((answer, command))
            })
            .map_err(|failure| self.failed(failure))?;
        let described = match answer {
            Ok(service) => answer::service(service, request, grants),
            Err(diagnostics) => match answer::diagnostics(diagnostics) {
                Ok(diagnostics) => return Err(DescribeError::Diagnostics(diagnostics)),
                Err(wrong) => Err(wrong),
            },
        };
        let mut description = described.map_err(|wrong| self.wrong(wrong))?;
        description.judged = self.judges();
        description.reload = command
            .map(|command| answer::granted_command(command, grants))
            .transpose()
            .map_err(|reason| {
                self.wrong(Wrong {
                    at: "reload".to_owned(),
                    reason,
                })
            })?;
        Ok(description)
    }

    /// What the plugin makes of the observations. One that does not judge goes by
    /// whether all of them passed.
    pub(crate) fn judge(
        &self,
        runtime: &Runtime,
        service: &ServiceName,
        observations: &[Observation],
    ) -> Result<Verdict, Error> {
        let Some(judge) = &self.judge else {
            return Ok(by_rule(observations));
        };
        let observations: Vec<_> = observations.iter().map(shown).collect();
        let verdict = runtime
            .call(|store| {
                let instance = self.instance.instantiate(&mut *store)?;
                let plugin = judge.load(&mut *store, &instance)?;
                let service = service.as_str();
                plugin
                    .doprax_plugin_judge()
                    .call_judge(store, service, &observations)
            })
            .map_err(|failure| self.failed(failure))?;
        let reason = |text| {
            value::line(text).map_err(|reason| {
                self.wrong(Wrong {
                    at: "verdict".to_owned(),
                    reason,
                })
            })
        };
        Ok(match verdict {
            wit_judge::Verdict::Ready => Verdict::Ready,
            wit_judge::Verdict::Waiting(why) => Verdict::Waiting(reason(why)?),
            wit_judge::Verdict::Failed(why) => Verdict::Failed(reason(why)?),
        })
    }

    fn wrong(&self, wrong: Wrong) -> Error {
        Error::Answer {
            plugin: self.name.clone(),
            at: wrong.at,
            reason: wrong.reason,
        }
    }

    fn unfit(&self, failure: Failure) -> Error {
        Error::Contract {
            plugin: self.name.clone(),
            source: failure.error.into(),
        }
    }

    fn failed(&self, failure: Failure) -> Error {
        let Failure { error, output } = failure;
        let plugin = self.name.clone();
        match exceeded(&error) {
            Some(exceeded) => Error::Exceeded {
                plugin,
                exceeded,
                output,
            },
            None => Error::Failed {
                plugin,
                output,
                source: error.into(),
            },
        }
    }
}

/// Which limit a failed call exceeded, if any.
fn exceeded(error: &wasmtime::Error) -> Option<Exceeded> {
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return Some(Exceeded::Calls);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return Some(Exceeded::Fuel),
        Some(Trap::Interrupt) => return Some(Exceeded::WallClock),
        Some(Trap::StackOverflow) => return Some(Exceeded::Stack),
        _ => {}
    }
    // These have no type of their own.
    let text = format!("{error:?}");
    if text.contains("forcing trap when growing") {
        Some(Exceeded::Memory)
    } else if text.contains("fuel allocated for hostcalls has been exhausted") {
        Some(Exceeded::AnswerSize)
    } else {
        None
    }
}

fn by_rule(observations: &[Observation]) -> Verdict {
    match observations.iter().find(|observation| !observation.passed) {
        Some(observation) => Verdict::Waiting(observation.output.clone()),
        None => Verdict::Ready,
    }
}

/// An observation as a plugin sees it.
fn shown(observation: &Observation) -> wit_judge::Observation {
    let output = &observation.output;
    wit_judge::Observation {
        passed: observation.passed,
        status: observation.status,
        output: output[..output.floor_char_boundary(OBSERVED)].to_owned(),
    }
}

fn not_a_tag(version: &str) -> SettingDiagnostic {
    let version: String = version.chars().take(80).collect();
    SettingDiagnostic {
        path: Vec::new(),
        message: format!("{version:?} is not an image tag"),
        help: Some(
            "use letters, digits, `_`, `.` and `-`; a whole image reference is given by `image`"
                .to_owned(),
        ),
    }
}
