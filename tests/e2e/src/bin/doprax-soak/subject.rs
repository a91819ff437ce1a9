//! The apps that are changed: what each is made of, and how its folder is edited.

use crate::change::Kind;
use doprax_e2e::App;

/// What stands in front of main.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Front {
    None,
    /// Nginx as its plugin sets it up.
    Nginx,
    /// Nginx with the configuration file of the app.
    ConfiguredNginx,
}

/// How an app is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) speaks_grpc: bool,
    front: Front,
}

/// Every app.
pub(crate) const SHAPES: [Shape; 4] = [
    Shape {
        name: "direct",
        speaks_grpc: false,
        front: Front::None,
    },
    Shape {
        name: "behind-nginx",
        speaks_grpc: false,
        front: Front::Nginx,
    },
    Shape {
        name: "grpc",
        speaks_grpc: true,
        front: Front::None,
    },
    Shape {
        name: "grpc-nginx",
        speaks_grpc: true,
        front: Front::ConfiguredNginx,
    },
];

/// An app and what was last made of it.
pub(crate) struct Subject {
    shape: Shape,
    app: App,
    /// The front's configuration file as the app has it.
    config: String,
    content: Content,
    /// The main that serves, and the one before it.
    serving: usize,
    before: usize,
    /// The app's releases by their numbers, and what each was made of.
    releases: Vec<(u64, Content)>,
}

/// What of an app's folder changes.
#[derive(Debug, Clone, Copy, Default)]
struct Content {
    release: Release,
    /// Of the front: in its environment, and in its configuration file.
    variable: usize,
    config: usize,
    config_is_ill: bool,
}

#[derive(Debug, Clone, Copy)]
enum Release {
    Well(usize),
    Ill,
}

impl Default for Release {
    fn default() -> Self {
        Self::Well(0)
    }
}

impl Subject {
    pub(crate) fn new(shape: Shape) -> Self {
        let app = match shape.speaks_grpc {
            true => App::copy("soak-grpc"),
            false => App::copy("soak"),
        };
        let config = match shape.front {
            Front::ConfiguredNginx => std::fs::read_to_string(app.at("nginx.conf")).unwrap(),
            Front::None | Front::Nginx => String::new(),
        };
        let subject = Self {
            shape,
            app,
            config,
            content: Content::default(),
            serving: 0,
            before: 0,
            releases: Vec::new(),
        };
        subject.write(subject.content);
        subject
    }

    pub(crate) fn name(&self) -> &'static str {
        self.shape.name
    }

    /// Its folder, as an argument.
    pub(crate) fn path(&self) -> &str {
        self.app.path()
    }

    /// The main that serves.
    pub(crate) fn serving(&self) -> usize {
        self.serving
    }

    /// Notes that the app's release of this number is made of what the folder has.
    pub(crate) fn released(&mut self, number: u64) {
        if self.releases.last().is_none_or(|(last, _)| *last < number) {
            self.releases.push((number, self.content));
        }
    }

    /// Edits the folder for the change of this number. Returns the main that serves after
    /// it, and the release to which a rollback goes.
    pub(crate) fn edit(&mut self, kind: Kind, number: usize) -> (usize, Option<u64>) {
        let mut content = self.content;
        let mut serves = self.serving;
        let mut back = None;
        match kind {
            Kind::NewMain => serves = number,
            Kind::Rollback => {
                let mut latest = self.releases.iter().rev();
                let had = |content: &Content| matches!(content.release, Release::Well(main) if main == self.before);
                let (release, then) = latest.find(|(_, then)| had(then)).unwrap();
                serves = self.before;
                (back, content) = (Some(*release), *then);
            }
            Kind::IllMain => content.release = Release::Ill,
            Kind::Front => content.variable = number,
            Kind::Config => content.config = number,
            Kind::IllConfig => content.config_is_ill = true,
            Kind::Upgrade => {}
        }
        if serves != self.serving {
            content.release = Release::Well(serves);
            (self.before, self.serving) = (self.serving, serves);
        }
        self.write(content);
        // The next change begins with what is well.
        if !kind.is_ill() {
            self.content = content;
        }
        (serves, back)
    }

    fn write(&self, content: Content) {
        let release = match content.release {
            Release::Well(number) => number.to_string(),
            Release::Ill => "ill".to_owned(),
        };
        self.app.write("release.txt", format!("{release}\n"));
        self.app.write("doprax.yaml", self.manifest(content));
        if self.shape.front == Front::ConfiguredNginx {
            let ill = if content.config_is_ill { "ill;\n" } else { "" };
            let text = format!("# Change {}.\n{ill}{}", content.config, self.config);
            self.app.write("nginx.conf", text);
        }
    }

    fn manifest(&self, content: Content) -> String {
        let Shape {
            name,
            speaks_grpc,
            front,
        } = self.shape;
        let path = if speaks_grpc { "" } else { "path: /up, " };
        let timeout = match content.release {
            Release::Well(_) => "60s",
            Release::Ill => "3s",
        };
        let mut text = format!(
            "app: {name}\nmain:\n  health: {{ {path}interval: 200ms, timeout: {timeout} }}\n"
        );
        if front != Front::None {
            let variable = content.variable;
            text.push_str("services:\n  - nginx:\n      image: doprax-test/nginx:1.22\n");
            text.push_str(&format!("      envs:\n        - CHANGE: \"{variable}\"\n"));
        }
        if front == Front::ConfiguredNginx {
            text.push_str(
                "      config_file:\n        - { source: ./nginx.conf, mount: /etc/nginx/nginx.conf }\n",
            );
        }
        text
    }
}
