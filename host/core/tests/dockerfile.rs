//! What a Dockerfile declares, which files it names, and what it builds on.

use doprax_core::dockerfile::{Declared, bases, declared, names_file};
use std::collections::BTreeMap;

fn read(text: &str) -> Declared {
    declared(text, None, &BTreeMap::new())
}

#[track_caller]
fn check(text: &str, ports: &[u16]) {
    let found = read(text);
    assert_eq!(
        (found.ports.as_slice(), found.all_ports),
        (ports, true),
        "{text}"
    );
}

#[test]
fn the_last_stage_counts() {
    check("FROM a\nEXPOSE 80", &[80]);
    check("FROM a\nEXPOSE 80\nFROM b\nEXPOSE 443 22\n", &[22, 443]);
    check("FROM a AS build\nEXPOSE 80\nFROM b\n", &[]);
    check("EXPOSE 80", &[80]);
    check("", &[]);
}

#[test]
fn a_stage_has_the_ports_of_the_one_it_builds_on() {
    check(
        "FROM a AS Base\nEXPOSE 80\nFROM b\nEXPOSE 1\nFROM --platform=linux/amd64 base\nEXPOSE 90",
        &[80, 90],
    );
    check("FROM a\nEXPOSE 80\nFROM 0", &[80]);
    // A stage that comes later is an image of that name.
    check("FROM late\nFROM a as late\nEXPOSE 80\nFROM x", &[]);
}

#[test]
fn ports_are_written_in_many_ways() {
    check("FROM a\nexpose 80/tcp 53/udp 90/TCP", &[80, 90]);
    check("FROM a\nEXPOSE 8000-8003", &[8000, 8001, 8002, 8003]);
    check("FROM a\nEXPOSE 1-65535 0 70000 9-1 -1 x 80/", &[]);
    check("FROM a\r\nEXPOSE 80\r\n", &[80]);
    check("\u{feff}FROM a\n\tEXPOSE\t80", &[80]);
}

#[test]
fn lines_continue() {
    check(
        "FROM a\nEXPOSE 80 \\\n  # a comment\n\n  443\nCMD x",
        &[80, 443],
    );
    check("FROM a\nRUN echo \\\nEXPOSE 80\n", &[]);
    check(
        "# escape=`\nFROM a\nEXPOSE 80 `\n 443\nRUN x \\\nEXPOSE 90",
        &[80, 90, 443],
    );
    check("FROM a\n# EXPOSE 80\nONBUILD EXPOSE 90\n", &[]);
    check("FROM a\nEXPOSE 80 \\", &[80]);
}

#[test]
fn here_documents_hold_no_instructions() {
    check("FROM a\nRUN <<EOF\nEXPOSE 80\nEOF\nEXPOSE 90", &[90]);
    check(
        "FROM a\nCOPY <<-\"END\" /etc/x\n\tEXPOSE 80\n\tEND\nEXPOSE 90",
        &[90],
    );
    check(
        "FROM a\nCOPY <<A <<B /etc/\nEXPOSE 1\nA\nEXPOSE 2\nB\nEXPOSE 90",
        &[90],
    );
    check("FROM a\nRUN cat <<< x\nEXPOSE 90", &[90]);
}

#[test]
fn a_variable_with_a_value_is_a_port_like_any_other() {
    check(
        "FROM a\nARG PORT=5005\nEXPOSE $PORT/tcp 7000-7001",
        &[5005, 7000, 7001],
    );
    check("FROM a\nENV PORT 5005\nEXPOSE ${PORT}", &[5005]);
    check(
        "FROM a\nENV A=1 PORT=\"5005\" B='x y'\nEXPOSE ${PORT}",
        &[5005],
    );
    check("ARG PORT=5005\nFROM a\nARG PORT\nEXPOSE $PORT", &[5005]);
    check("FROM a\nARG PORT=1\nENV PORT=5005\nEXPOSE $PORT", &[5005]);
    check("FROM a AS b\nENV PORT=5005\nFROM b\nEXPOSE $PORT", &[5005]);
    check(
        "FROM a\nARG A=5\nARG PORTS=\"80${A} 443\"\nEXPOSE $PORTS",
        &[443, 805],
    );
    check("FROM a\nEXPOSE ${PORT:-5005}", &[5005]);
    let text = "FROM a\nARG PORT=5005\nEXPOSE $PORT";
    let args = BTreeMap::from([("PORT".to_owned(), "6006".to_owned())]);
    assert_eq!(declared(text, None, &args).ports, [6006]);
}

#[test]
fn a_variable_that_only_the_build_knows_leaves_ports_open() {
    for text in [
        "FROM a\nEXPOSE $PORT 7000",
        "FROM a\nARG PORT\nEXPOSE $PORT 7000",
        "ARG PORT=1\nFROM a\nEXPOSE $PORT 7000",
        "FROM a AS b\nARG PORT=1\nFROM b\nEXPOSE $PORT 7000",
        "FROM a\nEXPOSE ${PORT:+1} 7000",
        "FROM a\nEXPOSE ${PORT 7000",
        "FROM a AS b\nEXPOSE $PORT\nFROM b\nEXPOSE 7000",
    ] {
        assert!(!read(text).all_ports, "{text}");
    }
    // Another stage's are nobody's.
    check("FROM a\nEXPOSE $PORT\nFROM b\nEXPOSE 7000", &[7000]);
}

#[test]
fn volumes_and_the_user_are_the_stages_too() {
    let found = read(
        "FROM a AS b\nVOLUME /data \"/x\"\nUSER app\nFROM b\nENV D=/srv\nVOLUME [\"/v w\", \"$D/f\"]\nUSER 1000:1000",
    );
    assert_eq!(found.volumes, ["\"/x\"", "/data", "/srv/f", "/v w"]);
    assert_eq!(found.user.as_deref(), Some("1000:1000"));
}

#[test]
fn a_target_is_a_stage_by_name_or_number() {
    let text = "FROM a AS Dev\nEXPOSE 1\nFROM b AS prod\nEXPOSE 2\nFROM c\nEXPOSE 3";
    let ports = |target| declared(text, target, &BTreeMap::new()).ports;
    assert_eq!(ports(Some("dev")), [1]);
    assert_eq!(ports(Some("prod")), [2]);
    assert_eq!(ports(Some("0")), [1]);
    assert_eq!(ports(None), [3]);
}

#[test]
fn a_file_is_named_by_itself_by_its_folder_or_by_a_pattern() {
    let named = [
        "COPY conf/app.conf /etc/",
        "copy --chown=1:1 ./conf/app.conf /etc/",
        "ADD /conf/app.conf a b /etc/",
        "COPY [\"conf/app.conf\", \"/etc/\"]",
        "COPY conf /conf",
        "COPY conf/ /conf/",
        "COPY conf/*.conf /etc/",
        "COPY a \\\n  conf/app.conf /etc/",
        "COPY $FILE /etc/",
        "ONBUILD COPY conf/app.conf /",
        "RUN --mount=type=bind,source=conf/app.conf,target=/x make",
        "RUN --mount=src=conf,target=/x make",
    ];
    for line in named {
        assert!(
            names_file(&format!("FROM a\n{line}\n"), "conf/app.conf"),
            "{line}"
        );
    }
    let other = [
        "COPY . .",
        "COPY ./ /app/",
        "COPY / /app/",
        "COPY * /app/",
        "COPY --from=build conf/app.conf /etc/",
        "COPY other /conf/app.conf",
        "COPY <<EOF /conf/app.conf\nCOPY conf/app.conf /x\nEOF",
        "# COPY conf/app.conf /x",
        "RUN cat conf/app.conf",
        "RUN --mount=type=cache,source=conf,target=/x make",
        "RUN --mount=type=bind,from=a,source=conf,target=/x make",
        "RUN --mount=type=bind,target=. make",
        "ENV A=conf/app.conf",
    ];
    for line in other {
        assert!(
            !names_file(&format!("FROM a\n{line}\n"), "conf/app.conf"),
            "{line}"
        );
    }
}

#[test]
fn the_images_that_a_dockerfile_builds_on() {
    let check = |text: &str, expected: &[&str]| {
        let found: Vec<String> = bases(text, &BTreeMap::new()).into_iter().collect();
        assert_eq!(found, expected, "{text}");
    };
    check("FROM a:1\nRUN x", &["a:1"]);
    check(
        "from --platform=linux/amd64 b AS Build\nFROM build\nCOPY --from=build /x /\nCOPY --from=0 /x /\nCOPY --from=c:2 /x /",
        &["b", "c:2"],
    );
    check("FROM scratch\nCOPY x /", &[]);
    check(
        "ARG TAG=3.11\nARG REGISTRY\nFROM python:${TAG}-slim\nARG TAG=2\nFROM d:$TAG\nFROM ${REGISTRY}/e\nFROM ${OTHER:-f}:1",
        &["d:3.11", "f:1", "python:3.11-slim"],
    );
    check("", &[]);
    check("FROM", &[]);
    check("FROM ${", &[]);
}
