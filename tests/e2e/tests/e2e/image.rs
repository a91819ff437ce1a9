//! Images that become others under the same name.

use crate::host;
use doprax_e2e::{App, Docker, Registry};

/// A tag of this test's own that is moved by hand. It goes with the instance's objects.
struct Tag<'a> {
    docker: &'a Docker,
    name: String,
}

impl<'a> Tag<'a> {
    fn of(docker: &'a Docker, image: &str, name: &str) -> Self {
        let name = format!("doprax-e2e-moved/{name}:{}", std::process::id());
        docker.run(&["tag", image, &name]);
        Self { docker, name }
    }

    /// The tag means an image that differs in a label.
    fn move_on(&self, label: &str) {
        let container = self.docker.run(&["create", &self.name]);
        let change = format!("LABEL moved={label}");
        let commit = ["commit", "--change", &change, &container, &self.name];
        self.docker.run(&commit);
        self.docker.run(&["rm", &container]);
    }

    fn id(&self) -> String {
        let format = ["image", "inspect", "--format", "{{.Id}}", &self.name];
        self.docker.run(&format)
    }
}

impl Drop for Tag<'_> {
    fn drop(&mut self) {
        self.docker.attempt(&["image", "rm", "--force", &self.name]);
    }
}

#[test]
fn a_moved_tag_arrives_with_the_next_up() {
    let Some(host) = host() else { return };
    let (cli, docker) = (host.cli(), &host.docker);
    let tag = Tag::of(docker, "doprax-test/redis:7", "redis");
    let manifest = format!("services:\n  - redis:\n      image: {}\n", tag.name);
    let app = App::tiny("tiny", &manifest);
    let up = || cli.ok(["up", app.path(), "--yes"]);
    let image = || {
        docker.inspect("tiny", "redis")["Image"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    up();
    assert_eq!(image(), tag.id());
    up().says(&["nothing to do"]);

    let (main, before) = (docker.id("tiny", "main"), tag.id());
    tag.move_on("once");
    let short = |id: &str| id[..19].to_owned();
    cli.ok(["plan", app.path()])
        .says(&["image", &short(&before), &short(&tag.id())]);
    // What is changed by hand has nothing to do with images.
    cli.ok(["env", "set", "tiny", "COLOUR=red"]);
    assert_eq!(image(), before);
    let changed = docker.id("tiny", "main");
    assert_ne!(changed, main);
    // A lost container comes back as the release has it.
    docker.run(&["rm", "--force", &docker.container("tiny", "redis")]);
    doprax_e2e::wait_for("redis to come back", 30, || docker.id("tiny", "redis"));
    assert_eq!(image(), before);

    up();
    assert_eq!(image(), tag.id());
    assert_eq!(docker.id("tiny", "main"), changed);
    up().says(&["nothing to do"]);
}

#[test]
fn a_patched_base_arrives_with_the_next_up_and_build_builds_again() {
    let Some(host) = host() else { return };
    let (cli, docker) = (host.cli(), &host.docker);
    let base = Tag::of(docker, "doprax-test/nginx:1.22", "base");
    let app = App::tiny("tiny", "app: tiny\n");
    let dockerfile = format!("FROM {}\nRUN date +%s%N >/built\n", base.name);
    app.write("Dockerfile", dockerfile);
    let up = |options: &[&str]| {
        let arguments = [&["up", app.path(), "--yes"], options].concat();
        cli.ok(arguments)
    };
    let built = || {
        let image = docker.inspect("tiny", "main")["Image"].take();
        image.as_str().unwrap().to_owned()
    };
    up(&[]);
    up(&[]).says(&["nothing to do"]);
    let first = built();

    base.move_on("once");
    cli.ok(["plan", app.path()])
        .says(&["main", "built again", &base.name]);
    up(&[]);
    let second = built();
    assert_ne!(second, first);
    up(&[]).says(&["nothing to do"]);

    // Nothing has changed: the same image comes out of the builder's cache.
    let main = docker.id("tiny", "main");
    up(&["--build"]);
    assert_eq!((built(), docker.id("tiny", "main")), (second.clone(), main));
    up(&["--build", "--no-cache"]);
    assert_ne!(built(), second);
    up(&[]).says(&["nothing to do"]);
}

/// The label that tells which image of a registry a container runs.
fn moved(docker: &Docker, service: &str) -> String {
    let labels = &docker.inspect("tiny", service)["Config"]["Labels"];
    labels["moved"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_a_registry_has_under_the_same_tag_arrives_with_pull_and_only_then() {
    let Some(host) = host() else { return };
    let Some(registry) = Registry::start(host.setup.port + 1) else {
        return;
    };
    let (cli, docker) = (host.cli(), &host.docker);
    let reference = registry.reference("sleeper:1");
    let manifest = |image: &str| {
        format!("services:\n  - container:\n      name: sleeper\n      image: {image}\n")
    };
    let app = App::tiny("tiny", &manifest(&reference));
    let up = |options: &[&str]| cli.ok([&["up", app.path(), "--yes"], options].concat());

    let first = registry.push(docker, &reference, "first");
    up(&[]);
    assert_eq!(moved(docker, "sleeper"), "first");
    let second = registry.push(docker, &reference, "second");
    assert_ne!(first, second);

    // Without being told to nobody asks the registry.
    let before = docker.ids("tiny");
    up(&[]).says(&["nothing to do"]);
    cli.ok(["restart", "tiny", "sleeper"]);
    assert_eq!(docker.ids("tiny"), before);
    let short = |digest: &str| digest[..19].to_owned();
    cli.ok(["plan", app.path(), "--pull"])
        .says(&["sleeper", &short(&first), &short(&second)]);
    assert_eq!(docker.ids("tiny"), before, "a plan changes nothing");
    up(&["--pull"]).says(&[&short(&first), &short(&second)]);
    assert_eq!(moved(docker, "sleeper"), "second");
    for options in [&[][..], &["--pull"]] {
        up(options).says(&["nothing to do"]);
    }

    // What is named by its digest does not move.
    let pinned = format!("{}@{first}", registry.reference("sleeper"));
    app.write("doprax.yaml", manifest(&pinned));
    up(&[]);
    assert_eq!(moved(docker, "sleeper"), "first");
    up(&["--pull"]).says(&["nothing to do"]);

    // One that is away holds nobody up: what the engine has counts.
    app.write("doprax.yaml", manifest(&reference));
    drop(registry);
    up(&["--pull"]).says(&[&reference, "the image that the engine has counts"]);
    assert_eq!(moved(docker, "sleeper"), "second");
    for digest in [first, second] {
        let image = format!("{}@{digest}", reference.trim_end_matches(":1"));
        docker.attempt(&["image", "rm", "--force", &image]);
    }
    docker.attempt(&["image", "rm", "--force", &reference]);
}

#[test]
fn a_base_that_was_patched_in_its_registry_arrives_with_pull() {
    let Some(host) = host() else { return };
    let Some(registry) = Registry::start(host.setup.port + 1) else {
        return;
    };
    let (cli, docker) = (host.cli(), &host.docker);
    let base = registry.reference("base:1");
    let app = App::empty("tiny");
    app.write("doprax.yaml", "main: { port: none }\n");
    app.write("Dockerfile", format!("FROM {base}\nENV A=1\n"));
    let up = |options: &[&str]| cli.ok([&["up", app.path(), "--yes"], options].concat());
    registry.push(docker, &base, "first");
    up(&[]);
    assert_eq!(moved(docker, "main"), "first");
    registry.push(docker, &base, "second");
    up(&[]).says(&["nothing to do"]);
    up(&["--pull"]).says(&["main", "is built again", &base]);
    assert_eq!(moved(docker, "main"), "second");
    up(&["--pull"]).says(&["nothing to do"]);
    docker.attempt(&["image", "rm", "--force", &base]);
}
