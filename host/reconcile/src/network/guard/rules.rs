//! The rules themselves, as text that iptables takes and lists.

use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where clouds answer: link-local addresses, and those of Alibaba and Azure.
const METADATA: [&str; 3] = ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32"];

const ANSWERS: &str = "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN";
const REFUSE: &str = "-j REJECT --reject-with icmp-port-unreachable";

/// The name servers in a `resolv.conf` that are where clouds answer.
pub(super) fn metadata_resolvers(text: &str) -> BTreeSet<Ipv4Addr> {
    let nets = METADATA.map(|net| net.parse::<Ipv4Net>());
    let is_metadata = |address: &Ipv4Addr| nets.iter().flatten().any(|net| net.contains(address));
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next())?
    });
    servers
        .filter_map(|server| server.parse().ok())
        .filter(is_metadata)
        .collect()
}

/// The rules in the words in which iptables lists them.
pub(super) fn rules(
    chain: &str,
    subnets: &BTreeSet<Ipv4Net>,
    resolvers: &BTreeSet<Ipv4Addr>,
    open: &[SocketAddr],
) -> String {
    let mut rules = vec![ANSWERS.to_owned()];
    for resolver in resolvers {
        rules.extend(dns().map(|rule| format!("-d {resolver}/32 {rule}")));
    }
    // Before DNS and the ingress are let through: metadata is served at their ports too.
    let subnets = Ipv4Net::aggregate(&subnets.iter().copied().collect());
    for subnet in &subnets {
        rules.extend(METADATA.map(|net| format!("-s {subnet} -d {net} {REFUSE}")));
    }
    rules.extend(dns());
    for address in open {
        let port = address.port();
        for protocol in ["tcp", "udp"] {
            let rule = format!("-p {protocol} -m {protocol} --dport {port} -j RETURN");
            match address.ip() {
                // An unspecified IPv6 address takes IPv4 too.
                ip if ip.is_unspecified() => rules.push(rule),
                IpAddr::V4(ip) => rules.push(format!("-d {ip}/32 {rule}")),
                IpAddr::V6(_) => {}
            }
        }
    }
    for subnet in &subnets {
        rules.push(format!("-s {subnet} -m addrtype --dst-type LOCAL {REFUSE}"));
    }
    rules
        .iter()
        .map(|rule| format!("-A {chain} {rule}\n"))
        .collect()
}

/// The rules of what leaves: what the refusals should have stopped is dropped.
pub(super) fn last_rules(
    chain: &str,
    others: &str,
    subnets: &BTreeSet<Ipv4Net>,
    resolvers: &BTreeSet<Ipv4Addr>,
) -> String {
    let mut rules = vec![format!("{chain} {ANSWERS}")];
    for resolver in resolvers {
        rules.extend(dns().map(|rule| format!("{chain} -d {resolver}/32 {rule}")));
    }
    let together = Ipv4Net::aggregate(&subnets.iter().copied().collect());
    for subnet in &together {
        rules.extend(METADATA.map(|net| format!("{chain} -s {subnet} -d {net} -j DROP")));
    }
    rules.extend(
        subnets
            .iter()
            .map(|own| format!("{chain} -s {own} -d {own} -j RETURN")),
    );
    // A chain of its own: else there were a rule for each two of them.
    rules.extend(
        together
            .iter()
            .map(|subnet| format!("{chain} -s {subnet} -j {others}")),
    );
    rules.extend(
        together
            .iter()
            .map(|subnet| format!("{others} -d {subnet} -j DROP")),
    );
    rules.iter().map(|rule| format!("-A {rule}\n")).collect()
}

/// What lets DNS through.
fn dns() -> [String; 2] {
    ["udp", "tcp"].map(|protocol| format!("-p {protocol} -m {protocol} --dport 53 -j RETURN"))
}
