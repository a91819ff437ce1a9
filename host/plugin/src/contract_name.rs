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
    }
}
