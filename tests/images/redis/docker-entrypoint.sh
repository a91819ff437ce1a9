#!/bin/bash
# Runs Redis as the user redis. Options alone, or a configuration file alone,
# are arguments of redis-server; anything else is a command of its own.
set -euo pipefail

case ${1:-} in
    -* | *.conf) set -- redis-server "$@" ;;
esac
if [[ ${1:-} != redis-server ]]; then
    exec "$@"
fi

# The official image is built with protected mode off by default; Debian's
# server has it on, and would refuse every other container.
if ! grep -qs '^[[:space:]]*protected-mode' "${2:-}" && [[ " $* " != *" --protected-mode "* ]]; then
    set -- "$@" --protected-mode no
fi

if (($(id -u) == 0)); then
    find . ! -user redis -exec chown redis {} +
    exec setpriv --reuid redis --regid redis --init-groups -- "$@"
fi
exec "$@"
