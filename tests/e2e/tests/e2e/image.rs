//! Images that become others under the same name.

use crate::host;
use doprax_e2e::{App, Docker};

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
