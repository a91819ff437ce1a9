title() { tr -d '\0' 2>/dev/null <"$1/cmdline"; }
serving() { [ "$(title "$1")" = 'nginx: worker process' ]; }
old=
for process in /proc/[0-9]*; do
    serving "$process" && old="$old $process"
done
nginx -s reload || exit
left=400
for process in $old; do
    while serving "$process"; do
        left=$((left - 1))
        [ $left -gt 0 ] || { echo 'the old workers go on serving' >&2; exit 1; }
        sleep 0.05
    done
done
