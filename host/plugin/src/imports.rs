//! Which imports a plugin may have.

/// The interfaces of WASI 0.2 that Rust's standard library needs for a program that
/// does no input and output. None of them reaches the machine; see [`crate::wasi`].
const ALLOWED: [&str; 16] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure-seed",
];

/// Whether a plugin may import this, a name such as `wasi:io/error@0.2.6`.
pub(crate) fn is_allowed(import: &str) -> bool {
    match import.split_once('@') {
        Some((interface, version)) => version.starts_with("0.2.") && ALLOWED.contains(&interface),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn only_the_plain_interfaces_are_allowed() {
        for import in [
            "wasi:io/error@0.2.0",
            "wasi:io/error@0.2.6",
            "wasi:cli/exit@0.2.3",
        ] {
            assert!(is_allowed(import), "{import}");
        }
        for import in [
            "wasi:sockets/tcp@0.2.6",
            "wasi:filesystem/types@0.2.6",
            "wasi:random/random@0.2.6",
            "wasi:io/error@0.3.0",
            "wasi:io/error",
            "evil:io/error@0.2.6",
            "host",
        ] {
            assert!(!is_allowed(import), "{import}");
        }
    }
}
