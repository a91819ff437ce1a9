//! The ingress against real clients and real servers, on loopback.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod calls;
mod conformance;
mod drain;
mod exchanges;
mod grpc;
mod http1;
mod http2;
mod http2_limits;
mod http2_malformed;
mod interim;
mod limits;
mod pages;
mod patience;
mod pki;
mod prior_knowledge;
mod proxy_protocol;
mod redirects;
#[allow(dead_code, reason = "others use the rest")]
#[path = "../../../../tests/required.rs"]
mod required;
mod reuse;
mod rig;
mod seeing;
mod served;
mod stop;
mod streams;
mod tls;
mod tls_upstreams;
mod tunnels;
mod upstreams;
mod websockets;
