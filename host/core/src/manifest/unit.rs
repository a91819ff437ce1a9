//! Numbers with units, ports, and what is spoken there.

use super::hint::cut;
use super::reader::{At, Reader};
use crate::spec::{PortSpec, Protocol};
use crate::unit::{format_duration, parse_bytes, parse_decimal, parse_duration};

/// Smallest limit that an engine takes, in bytes: Docker refuses less memory.
const LEAST_BYTES: u64 = 6 << 20;

/// A TCP port, or the word for none.
pub(super) fn port<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<PortSpec> {
    let text = reader.text(at, "port: 5000")?;
    if text == "none" {
        return Some(PortSpec::NONE);
    }
    let port = text
        .parse::<u16>()
        .ok()
        .filter(|port| *port > 0 && text.bytes().all(|b| b.is_ascii_digit()));
    if port.is_none() {
        let help = if text.contains(':') {
            "write only the port in the container, as in `port: 5000`: nothing is published on the machine"
        } else {
            "write a number from 1 to 65535, as in `port: 5000`, or `none` for what listens on no port"
        };
        reader.error(
            at.value_span(),
            &at.path,
            format!("`{}` is no port", cut(text)),
            help,
        );
    }
    port.map(PortSpec::Number)
}

/// What the ingress speaks with the port.
pub(super) fn protocol<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<Protocol> {
    match reader.text(at, "protocol: https")? {
        "http" => Some(Protocol::Http),
        "https" => Some(Protocol::Https),
        text => {
            reader.error(
                at.value_span(),
                &at.path,
                format!("`{}` is no protocol", cut(text)),
                "write `https` for what speaks only TLS on its port, or `http`, which is also what holds without the key; gRPC and WebSockets go with both",
            );
            None
        }
    }
}

/// A size in bytes, as in `512MiB`. As Docker does, this takes `m`, `MB` and `MiB`
/// for the same 1,048,576 bytes.
pub(super) fn bytes<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<u64> {
    let least = (LEAST_BYTES, "6 MiB, the least that an engine takes");
    size(reader, at, "memory: 512MiB", least)
}

/// The size of `/dev/shm` in bytes.
pub(super) fn shm_size<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<u64> {
    size(reader, at, "shm-size: 256MiB", (1 << 20, "1 MiB"))
}

/// A size of at least so many bytes.
fn size<'a>(
    reader: &mut Reader<'a>,
    at: &At<'a>,
    example: &str,
    (least, what): (u64, &str),
) -> Option<u64> {
    let text = reader.text(at, example)?;
    let Some(bytes) = parse_bytes(text) else {
        let message = format!("`{}` is no size", cut(text));
        reader.error(
            at.value_span(),
            &at.path,
            message,
            "write a number and a unit (KiB, MiB, GiB, TiB), as in `512MiB`",
        );
        return None;
    };
    if bytes < least {
        let help = match text.bytes().all(|b| b.is_ascii_digit()) {
            true => format!(
                "it is a number of bytes; with a unit it is `{}MiB`",
                cut(text)
            ),
            false => "write a larger size, as in `512MiB`".to_owned(),
        };
        reader.error(at.value_span(), &at.path, format!("less than {what}"), help);
        return None;
    }
    Some(bytes)
}

/// Processor time in thousandths of a processor, as in `0.5`.
pub(super) fn millicpus<'a>(reader: &mut Reader<'a>, at: &At<'a>) -> Option<u32> {
    let text = reader.text(at, "cpus: 0.5")?;
    let millicpus = parse_decimal(text, 3)
        .map(|(value, decimals)| value * 10u64.pow(3 - decimals))
        .and_then(|value| u32::try_from(value).ok())
        .filter(|value| (10..=1_024_000).contains(value));
    if millicpus.is_none() {
        let message = format!("`{}` is no share of processors", cut(text));
        let help =
            "write a number from 0.01 to 1024, with at most three decimals, as in `cpus: 0.5`";
        reader.error(at.value_span(), &at.path, message, help);
    }
    millicpus
}

/// A duration in milliseconds, as in `2s`, within `least` and `most` milliseconds.
pub(super) fn duration<'a>(
    reader: &mut Reader<'a>,
    at: &At<'a>,
    least: u32,
    most: u32,
) -> Option<u32> {
    let text = reader.text(at, "timeout: 60s")?;
    let Some(milliseconds) = parse_duration(text) else {
        let help = match !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            true => format!("write the unit too, as in `{}s`", cut(text)),
            false => {
                "write a number and a unit (ms, s, m, h), as in `500ms`, `2s` or `1m30s`".to_owned()
            }
        };
        reader.error(
            at.value_span(),
            &at.path,
            format!("`{}` is no duration", cut(text)),
            help,
        );
        return None;
    };
    match u32::try_from(milliseconds) {
        Ok(milliseconds) if (least..=most).contains(&milliseconds) => Some(milliseconds),
        _ => {
            let help = format!(
                "write a duration from {} to {}",
                format_duration(least.into()),
                format_duration(most.into())
            );
            reader.error(
                at.value_span(),
                &at.path,
                format!("`{}` is out of bounds", cut(text)),
                help,
            );
            None
        }
    }
}
