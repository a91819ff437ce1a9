#!/bin/bash
# Fills in /etc/nginx/templates, runs /docker-entrypoint.d, then the command.
set -euo pipefail

if [[ ${1:-} == nginx* ]]; then
    templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
    output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
    if [[ -d $templates ]]; then
        # Only variables that exist are filled in: nginx has its own $names.
        names=$(compgen -e | sed 's/.*/${&}/' | tr '\n' ' ')
        while IFS= read -r -d '' template; do
            target=$output/${template#"$templates"/}
            target=${target%.template}
            mkdir -p "$(dirname "$target")"
            envsubst "$names" <"$template" >"$target"
        done < <(find "$templates" -follow -type f -name '*.template' -print0 | sort -z)
    fi
    for script in /docker-entrypoint.d/*.sh; do
        if [[ -x $script ]]; then
            "$script"
        fi
    done
fi
exec "$@"
