#!/bin/bash
# Initialises an empty data folder as the official image does - a temporary
# server that only a local socket reaches, then the database and
# /docker-entrypoint-initdb.d - and runs the server as the user postgres.
set -euo pipefail

export PGDATA=${PGDATA:-/var/lib/postgresql/data}

initialise() {
    local user=${POSTGRES_USER:-postgres} database method script
    database=${POSTGRES_DB:-$user}
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [[ -z ${POSTGRES_PASSWORD:-} && $method != trust ]]; then
        printf 'Error: Database is uninitialized and superuser password is not specified: set POSTGRES_PASSWORD\n' >&2
        exit 1
    fi
    local -a arguments
    read -r -a arguments <<<"${POSTGRES_INITDB_ARGS:-}"
    # initdb takes no empty password.
    if [[ -n ${POSTGRES_PASSWORD:-} ]]; then
        initdb --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}"
    else
        initdb --username="$user" "${arguments[@]}"
    fi
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

    pg_ctl --wait --options="-c listen_addresses='' -p 5432" start
    export PGHOST=/var/run/postgresql PGUSER=$user PGPASSWORD=${POSTGRES_PASSWORD:-}
    if [[ $database != postgres ]]; then
        psql --set ON_ERROR_STOP=1 --no-psqlrc --dbname postgres --set database="$database" <<<'CREATE DATABASE :"database";'
    fi
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sh) printf 'running %s\n' "$script" && bash "$script" ;;
            *.sql) printf 'running %s\n' "$script" && psql --set ON_ERROR_STOP=1 --no-psqlrc --dbname "$database" --file "$script" ;;
            *.sql.gz) printf 'running %s\n' "$script" && gunzip --stdout "$script" | psql --set ON_ERROR_STOP=1 --no-psqlrc --dbname "$database" ;;
        esac
    done
    pg_ctl --wait --mode=fast stop
    unset PGHOST PGUSER PGPASSWORD
    printf 'PostgreSQL init process complete; ready for start up.\n'
}

case ${1:-} in
    -*) set -- postgres "$@" ;;
esac
if [[ ${1:-} != postgres ]]; then
    exec "$@"
fi

if (($(id -u) == 0)); then
    mkdir -p "$PGDATA" /var/run/postgresql
    chown postgres:postgres /var/run/postgresql
    chmod 3777 /var/run/postgresql
    find "$PGDATA" ! -user postgres -exec chown postgres:postgres {} +
    exec setpriv --reuid postgres --regid postgres --init-groups -- "$0" "$@"
fi
chmod 700 "$PGDATA"
if [[ ! -s $PGDATA/PG_VERSION ]]; then
    initialise
fi
exec "$@"
