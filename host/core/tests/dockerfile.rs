//! What a Dockerfile exposes.

use doprax_core::dockerfile::exposed_ports;

#[track_caller]
fn check(text: &str, ports: &[u16]) {
    assert_eq!(exposed_ports(text), ports, "{text}");
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
    check("FROM a\nEXPOSE $PORT ${PORT} 80", &[80]);
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
