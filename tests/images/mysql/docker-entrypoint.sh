#!/bin/bash
# Initialises an empty data folder as the official image does - a temporary
# server that only a local socket reaches, then accounts, databases and
# /docker-entrypoint-initdb.d - and runs the server as the user mysql.
set -euo pipefail

data=/var/lib/mysql
socket=/var/run/mysqld/mysqld.sock

say() {
    printf '%s [Entrypoint]: %s\n' "$(date --rfc-3339=seconds)" "$*"
}

fail() {
    say "ERROR: $*" >&2
    exit 1
}

# A text as an SQL string literal.
quoted() {
    local text=${1//\\/\\\\}
    printf "'%s'" "${text//\'/\\\'}"
}

# A text as an SQL identifier.
name() {
    printf '`%s`' "${1//\`/\`\`}"
}

sql() {
    MYSQL_PWD=$root_password mysql --no-defaults --protocol=socket --socket="$socket" --user=root --database="${1:-mysql}"
}

initialise() {
    local pid deadline script host
    if [[ -z ${MYSQL_ROOT_PASSWORD:-} && -z ${MYSQL_ALLOW_EMPTY_PASSWORD:-} && -z ${MYSQL_RANDOM_ROOT_PASSWORD:-} ]]; then
        fail 'Database is uninitialized and password option is not specified: set one of MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD and MYSQL_RANDOM_ROOT_PASSWORD'
    fi
    if [[ ${MYSQL_USER:-} == root ]]; then
        fail 'MYSQL_USER="root": MYSQL_USER and MYSQL_PASSWORD are for a user beside root'
    fi
    say 'Initializing database files'
    "$@" --initialize-insecure --default-time-zone=SYSTEM
    say 'Starting temporary server'
    "$@" --skip-networking --mysqlx=OFF --default-time-zone=SYSTEM --socket="$socket" &
    pid=$!
    root_password=
    deadline=$((SECONDS + 120))
    until sql <<<'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || fail 'The temporary server stopped'
        ((SECONDS < deadline)) || fail 'The temporary server does not answer'
        sleep 0.2
    done
    say 'Temporary server started'

    local password=${MYSQL_ROOT_PASSWORD:-}
    if [[ -n ${MYSQL_RANDOM_ROOT_PASSWORD:-} ]]; then
        password=$(head -c 24 /dev/urandom | base64 --wrap=0)
        say "GENERATED ROOT PASSWORD: $password"
    fi
    host=${MYSQL_ROOT_HOST:-%}
    {
        if [[ $host != localhost ]]; then
            printf 'CREATE USER %s@%s IDENTIFIED BY %s;\n' "'root'" "$(quoted "$host")" "$(quoted "$password")"
            printf 'GRANT ALL ON *.* TO %s@%s WITH GRANT OPTION;\n' "'root'" "$(quoted "$host")"
        fi
        printf 'ALTER USER %s@%s IDENTIFIED BY %s;\n' "'root'" "'localhost'" "$(quoted "$password")"
    } | sql
    root_password=$password
    if [[ -n ${MYSQL_DATABASE:-} ]]; then
        say "Creating database $MYSQL_DATABASE"
        printf 'CREATE DATABASE IF NOT EXISTS %s;\n' "$(name "$MYSQL_DATABASE")" | sql
    fi
    if [[ -n ${MYSQL_USER:-} && -n ${MYSQL_PASSWORD:-} ]]; then
        say "Creating user $MYSQL_USER"
        {
            printf 'CREATE USER %s@%s IDENTIFIED BY %s;\n' "$(quoted "$MYSQL_USER")" "'%'" "$(quoted "$MYSQL_PASSWORD")"
            if [[ -n ${MYSQL_DATABASE:-} ]]; then
                # In a grant _ is a wildcard.
                printf 'GRANT ALL ON %s.* TO %s@%s;\n' "$(name "${MYSQL_DATABASE//_/\\_}")" "$(quoted "$MYSQL_USER")" "'%'"
            fi
        } | sql
    fi
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sh) say "running $script" && bash "$script" ;;
            *.sql) say "running $script" && sql "${MYSQL_DATABASE:-mysql}" <"$script" ;;
            *.sql.gz) say "running $script" && gunzip --stdout "$script" | sql "${MYSQL_DATABASE:-mysql}" ;;
        esac
    done

    say 'Stopping temporary server'
    kill -TERM "$pid"
    wait "$pid" || fail 'The temporary server did not stop cleanly'
    say 'MySQL init process done. Ready for start up.'
}

case ${1:-} in
    -*) set -- mysqld "$@" ;;
esac
if [[ ${1:-} != mysqld ]]; then
    exec "$@"
fi

if (($(id -u) == 0)); then
    mkdir -p /var/run/mysqld
    find "$data" /var/run/mysqld ! -user mysql -exec chown mysql:mysql {} +
    exec setpriv --reuid mysql --regid mysql --init-groups -- "$0" "$@"
fi
if [[ ! -d $data/mysql ]]; then
    initialise "$@"
fi
exec "$@"
