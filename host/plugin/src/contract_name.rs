//! The contract's enums as an engine writes them.

use crate::bindings::plugin::exports::doprax::plugin::service as wit;

/// As the engine takes it.
pub(crate) fn capability(capability: wit::Capability) -> &'static str {
    use wit::Capability;
    match capability {
        Capability::AuditWrite => "AUDIT_WRITE",
        Capability::Chown => "CHOWN",
        Capability::DacOverride => "DAC_OVERRIDE",
        Capability::Fowner => "FOWNER",
        Capability::Fsetid => "FSETID",
        Capability::IpcLock => "IPC_LOCK",
        Capability::Kill => "KILL",
        Capability::NetBindService => "NET_BIND_SERVICE",
        Capability::Setgid => "SETGID",
        Capability::Setuid => "SETUID",
        Capability::SysChroot => "SYS_CHROOT",
        Capability::SysNice => "SYS_NICE",
    }
}

/// As the engine takes it.
pub(crate) fn ulimit(kind: wit::UlimitKind) -> &'static str {
    use wit::UlimitKind;
    match kind {
        UlimitKind::Core => "core",
        UlimitKind::Memlock => "memlock",
        UlimitKind::Nofile => "nofile",
        UlimitKind::Nproc => "nproc",
        UlimitKind::Stack => "stack",
    }
}

/// As the engine takes it.
pub(crate) fn signal(signal: wit::Signal) -> &'static str {
    use wit::Signal;
    match signal {
        Signal::Term => "SIGTERM",
        Signal::Int => "SIGINT",
        Signal::Quit => "SIGQUIT",
        Signal::Hup => "SIGHUP",
        Signal::Usr1 => "SIGUSR1",
        Signal::Usr2 => "SIGUSR2",
        Signal::Winch => "SIGWINCH",
        Signal::Kill => "SIGKILL",
    }
}

/// As the kernel has it.
pub(crate) fn sysctl(name: wit::SysctlName) -> &'static str {
    use wit::SysctlName;
    match name {
        SysctlName::KernelMsgmax => "kernel.msgmax",
        SysctlName::KernelMsgmnb => "kernel.msgmnb",
        SysctlName::KernelMsgmni => "kernel.msgmni",
        SysctlName::KernelSem => "kernel.sem",
        SysctlName::KernelShmall => "kernel.shmall",
        SysctlName::KernelShmmax => "kernel.shmmax",
        SysctlName::KernelShmmni => "kernel.shmmni",
        SysctlName::NetCoreSomaxconn => "net.core.somaxconn",
        SysctlName::NetIpv4IpLocalPortRange => "net.ipv4.ip_local_port_range",
        SysctlName::NetIpv4IpUnprivilegedPortStart => "net.ipv4.ip_unprivileged_port_start",
        SysctlName::NetIpv4TcpFinTimeout => "net.ipv4.tcp_fin_timeout",
        SysctlName::NetIpv4TcpKeepaliveIntvl => "net.ipv4.tcp_keepalive_intvl",
        SysctlName::NetIpv4TcpKeepaliveProbes => "net.ipv4.tcp_keepalive_probes",
        SysctlName::NetIpv4TcpKeepaliveTime => "net.ipv4.tcp_keepalive_time",
        SysctlName::NetIpv4TcpMaxSynBacklog => "net.ipv4.tcp_max_syn_backlog",
        SysctlName::NetIpv4TcpSyncookies => "net.ipv4.tcp_syncookies",
        SysctlName::NetIpv4TcpTwReuse => "net.ipv4.tcp_tw_reuse",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_the_engine_takes_them() {
        use wit::Capability as C;
        for (value, name) in [
            (C::AuditWrite, "AUDIT_WRITE"),
            (C::Chown, "CHOWN"),
            (C::DacOverride, "DAC_OVERRIDE"),
            (C::Fowner, "FOWNER"),
            (C::Fsetid, "FSETID"),
            (C::IpcLock, "IPC_LOCK"),
            (C::Kill, "KILL"),
            (C::NetBindService, "NET_BIND_SERVICE"),
            (C::Setgid, "SETGID"),
            (C::Setuid, "SETUID"),
            (C::SysChroot, "SYS_CHROOT"),
            (C::SysNice, "SYS_NICE"),
        ] {
            assert_eq!(capability(value), name);
        }
        use wit::UlimitKind as U;
        for (value, name) in [
            (U::Core, "core"),
            (U::Memlock, "memlock"),
            (U::Nofile, "nofile"),
            (U::Nproc, "nproc"),
            (U::Stack, "stack"),
        ] {
            assert_eq!(ulimit(value), name);
        }
        use wit::Signal as S;
        for (value, name) in [
            (S::Term, "SIGTERM"),
            (S::Int, "SIGINT"),
            (S::Quit, "SIGQUIT"),
            (S::Hup, "SIGHUP"),
            (S::Usr1, "SIGUSR1"),
            (S::Usr2, "SIGUSR2"),
            (S::Winch, "SIGWINCH"),
            (S::Kill, "SIGKILL"),
        ] {
            assert_eq!(signal(value), name);
        }
        use wit::SysctlName as K;
        for (value, name) in [
            (K::KernelMsgmax, "kernel.msgmax"),
            (K::KernelMsgmnb, "kernel.msgmnb"),
            (K::KernelMsgmni, "kernel.msgmni"),
            (K::KernelSem, "kernel.sem"),
            (K::KernelShmall, "kernel.shmall"),
            (K::KernelShmmax, "kernel.shmmax"),
            (K::KernelShmmni, "kernel.shmmni"),
            (K::NetCoreSomaxconn, "net.core.somaxconn"),
            (K::NetIpv4IpLocalPortRange, "net.ipv4.ip_local_port_range"),
            (
                K::NetIpv4IpUnprivilegedPortStart,
                "net.ipv4.ip_unprivileged_port_start",
            ),
            (K::NetIpv4TcpFinTimeout, "net.ipv4.tcp_fin_timeout"),
            (K::NetIpv4TcpKeepaliveIntvl, "net.ipv4.tcp_keepalive_intvl"),
            (
                K::NetIpv4TcpKeepaliveProbes,
                "net.ipv4.tcp_keepalive_probes",
            ),
            (K::NetIpv4TcpKeepaliveTime, "net.ipv4.tcp_keepalive_time"),
            (K::NetIpv4TcpMaxSynBacklog, "net.ipv4.tcp_max_syn_backlog"),
            (K::NetIpv4TcpSyncookies, "net.ipv4.tcp_syncookies"),
            (K::NetIpv4TcpTwReuse, "net.ipv4.tcp_tw_reuse"),
        ] {
            assert_eq!(sysctl(value), name);
        }
    }
}
