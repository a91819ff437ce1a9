#!/bin/bash
# Runs the server with every environment variable that is named like a setting
# (discovery.type, bootstrap.memory_lock, ES_SETTING_NODE_NAME) as -Ename=value.
# This must be bash: dash drops variables whose names are no identifiers.
set -euo pipefail

if [[ ${1:-} != eswrapper ]]; then
    exec "$@"
fi

settings=()
while IFS= read -r -d '' entry; do
    key=${entry%%=*}
    value=${entry#*=}
    if [[ $key =~ ^[a-z0-9_]+\.[a-z0-9_.]+$ ]]; then
        settings+=("-E$key=$value")
    elif [[ $key =~ ^ES_SETTING(_[A-Z0-9]+(__)?)+$ ]]; then
        # _ stands for a dot, __ for an underscore.
        setting=${key#ES_SETTING_}
        setting=${setting//__/-}
        setting=${setting//_/.}
        setting=${setting//-/_}
        settings+=("-E${setting,,}=$value")
    fi
done < <(env --null)
exec elasticsearch "${settings[@]}"
