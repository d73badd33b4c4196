#!/bin/sh
# The harness's hand on a device: pushed there at each connection, and run once for each question.
# POSIX sh, and of programs only what GNU, busybox and Android's toybox have alike. What it says:
# exit codes as in transport.py (70 with the system's own words: a file could not be written).
set -u
umask 077
export LC_ALL=C
cd "${0%/*}" || exit 70

TROUBLE=70 BUSY=71 ABSENT=72 MISMATCH=73 GONE=74 PENDING=75 UNGOVERNED=76
MOST_OUTPUT_BLOCKS=65536 # of 512 bytes: a tool that prints more is ended by SIGXFSZ
KEEPER_LOOKS_S=10
NEWLINE='
'

# The system's words for what could not be done.
trouble() {
    printf '%s\n' "$1" >&2
    exit "$TROUBLE"
}

# A board is slow at starting processes, and this runs between any two that are measured: functions answer in variables.

# FILE: sets `hash`, in hexadecimal.
hash_of() {
    hash=$(sha256sum <"$1")
    hash=${hash%% *}
}

# Sets `uptime`, in seconds since the device started: its clock may be wrong, or be set while we look.
read_uptime() {
    read -r uptime _ </proc/uptime
}

# ---- Whose turn it is: `queue` has this boot's id, and for each who wants the device a line
# "TOKEN UNTIL OWNER" in the order of their coming. Who stands first may use the device.

# Sets `now`, in whole seconds since the device started, and `this_boot`, which tells that start from all others.
read_now() {
    read_uptime
    now=${uptime%%.*} this_boot=unknown
    read -r this_boot 2>/dev/null </proc/sys/kernel/random/boot_id
}

guarded() {
    true 2>/dev/null >>queue.guard || trouble "$({ true >>queue.guard; } 2>&1)"
    exec 9>>queue.guard
    if command -v flock >/dev/null; then flock 8 8>&9; fi # mksh, the shell of Android, keeps 9 from programs
    read_now
}

# TOKEN UNTIL OWNER: `lines` without those that have expired; mine renewed, or added at the end, or gone without UNTIL.
# `first` is the line in front, `waiting` how many are others', `mine` until when ours was good.
read_queue() {
    first='' waiting=0 mine=0 lines='' line="$1 $2 ${3-}"
    if [ -f queue ]; then
        {
            read -r boot
            while [ "$boot" = "$this_boot" ] && read -r token until owner; do
                if [ "$token" = "$1" ]; then
                    [ -n "$2" ] || continue
                    mine=$until
                    add_line "$line"
                    line=''
                elif [ "$until" -ge "$now" ] 2>/dev/null; then
                    add_line "$token $until $owner"
                    waiting=$((waiting + 1))
                fi
            done
        } <queue
    fi
    if [ -n "$2" ] && [ -n "$line" ]; then add_line "$line"; fi
}

add_line() {
    [ -n "$first" ] || first=$1
    lines=$lines$1$NEWLINE
}

write_queue() {
    said=$({ printf '%s\n%s' "$this_boot" "$lines" >queue.part && mv -f queue.part queue; } 2>&1) || trouble "$said"
}

# TOKEN SECONDS OWNER: takes a place or keeps it, for half a minute less at times; prints who has the device otherwise.
take_turn() {
    guarded
    read_queue "$1" $((now + $2)) "$3"
    [ "$mine" -ge $((now + $2 - 30)) ] || write_queue
    case $first in
    "$1 "*) restore_governors "$1 $3" ;;
    *)
        printf '%s\n' "${first#* * }" >&2
        exit "$BUSY"
        ;;
    esac
    exec 9>&-
}

# TOKEN: gives the place back; who was in front leaves nothing running, and the governors as they were.
leave() {
    guarded
    read_queue "$1" "$now" ''
    case $first in
    "$1 "*)
        end_all_runs
        restore_governors ''
        ;;
    esac
    read_queue "$1" ''
    write_queue
    exec 9>&-
}

# TOKEN: whether it stands first, and has not expired.
has_turn() {
    read_now
    read_queue "$1" "$now" ''
    case $first in
    "$1 "*) [ "$mine" -ge "$now" ] ;;
    *) false ;;
    esac
}

# ---- Governors: `governors` has this boot's id and a name of its own, then for whom they were set ("TOKEN OWNER"), and
# for each policy a line "GOVERNOR FILE" of what it had before.

# HOLDER: puts back what was set for anyone else.
restore_governors() {
    [ -e governors ] || return 0
    {
        read -r boot _
        read -r holder
        [ "$boot $holder" != "$this_boot $1" ] || return 0
        while [ "$boot" = "$this_boot" ] && read -r governor file; do echo "$governor" >"$file"; done
    } 2>/dev/null <governors
    rm -f governors
}

# NAME FILE...: where one has no such governor, prints those that it has.
check_governor() {
    name=$1
    shift
    for file in "$@"; do
        available=$name
        read -r available 2>/dev/null <"${file%/*}/scaling_available_governors"
        case " $available " in
        *" $name "*) ;;
        *)
            printf '%s\n' "$available"
            exit "$UNGOVERNED"
            ;;
        esac
    done
}

# TOKEN OWNER FILE...: once, and lets a process of its own see to it that they are put back.
save_governors() {
    [ ! -e governors ] || return 0
    token=$1 saved="$this_boot $$$NEWLINE$1 $2$NEWLINE"
    shift 2
    for file in "$@"; do
        if read -r governor <"$file"; then saved=$saved$governor' '$file$NEWLINE; fi
    done
    said=$({ printf %s "$saved" >governors.part && mv -f governors.part governors; } 2>&1) || trouble "$said"
    setsid sh "$0" keep $$ "$token" </dev/null >/dev/null 2>&1 &
}

# TOKEN SECONDS OWNER NAME: for all cores, as long as the turn lasts.
govern() {
    take_turn "$1" "$2" "$3"
    token=$1 owner=$3 name=$4
    set -- "${HARNESS_SYSFS:-/sys}"/devices/system/cpu/cpufreq/policy*/scaling_governor
    if [ ! -e "$1" ]; then
        echo 'its system does not let the clock of its cores be set' >&2
        exit "$UNGOVERNED"
    fi
    check_governor "$name" "$@"
    save_governors "$token" "$owner" "$@"
    for file in "$@"; do
        governor=''
        said=$({ echo "$name" >"$file"; } 2>&1)
        read -r governor <"$file"
        if [ "$governor" != "$name" ]; then
            printf '%s\n' "${said:-it stays as it was}" >&2
            restore_governors ''
            exit "$UNGOVERNED"
        fi
    done
}

# NAME TOKEN: puts them back once the turn is over, for whoever took it may have died.
keep_governors() {
    while sleep "$KEEPER_LOOKS_S" && are_governors "$1"; do
        has_turn "$2" && continue
        guarded
        if are_governors "$1" && ! has_turn "$2"; then restore_governors ''; fi
        exec 9>&-
    done
}

# NAME: whether it is still those that are set.
are_governors() {
    { read -r _ name <governors && [ "$name" = "$1" ]; } 2>/dev/null
}

# ---- Runs: a folder each, with the process ids and the output, and `exit` once it has ended.

is_of_run() {
    [ -e "/proc/$1" ] && tr '\0' '\n' 2>/dev/null <"/proc/$1/environ" | grep -qx "HARNESS_RUN=$2"
}

# FOLDER: ends the tool and its supervisor, unless the process ids are others' by now.
end_run() {
    for role in tool supervisor watchdog; do
        if [ -f "$1/$role" ] && read -r pid <"$1/$role" && is_of_run "$pid" "${1##*/}"; then
            kill -9 "-$pid" 2>/dev/null
        fi
    done
    rm -rf "$1"
}

end_all_runs() {
    for folder in runs/*; do
        if [ -d "$folder" ]; then end_run "$folder"; fi
    done
    for part in objects/*/.part.*; do
        if [ -e "$part" ]; then rm -f "$part"; fi
    done
}

# ---- Watching: a run's `watch` gets lines as bench/watch.py reads them. Built-in commands alone, as it costs the
# device what it takes from the tool: but for `sleep`, and for sensors that are commands.

# Adds what each of `sensors` says, one a line: a file, or a command after `!`. `-` for one that says nothing.
sample() {
    read_uptime
    line="at $uptime" IFS=$NEWLINE
    for source in $sensors; do
        unset IFS
        value=''
        case $source in
        !*) value=$(sh -c "${source#!}") ;;
        *) read -r value <"$source" ;;
        esac
        # shellcheck disable=SC2086 # split into words, to be joined to one
        set -- ${value:--}
        IFS=,
        line="$line $*"
    done
    unset IFS
    echo "$line" >>watch
}

# Adds the time of all cores, and of it that of this shell and of what it has waited for: the harness's and the tool's.
count_time() {
    read_uptime
    read -r _ jiffies </proc/stat
    {
        echo "cpu $uptime $jiffies"
        times
    } >>watch
}

# Goes on as long as the run's folder is there. Its first look comes early, for the sake of short runs.
watch() {
    pause=1
    case $interval in 0.*) pause=$interval ;; esac
    while { sleep "$pause" || sleep 1; } && [ -e tool ]; do
        sample
        pause=$interval
    done
}

stop_watching() {
    trap '' TERM
    kill -TERM 0 # the group that is this shell, its watcher, and what that has started
    wait "$watcher"
}

# RUN LIMIT AFFINITY INTERVAL SENSORS ARGV...: in a session of its own, so that it goes on without the link.
supervise() {
    cd "runs/$1" || exit
    echo $$ >supervisor
    limit=$2 affinity=$3 interval=$4 sensors=$5 watcher=''
    shift 5
    if [ -n "$affinity" ]; then set -- taskset "$affinity" "$@"; fi
    set -f
    : >watch
    if [ -n "$interval" ]; then
        sample
        count_time
    fi
    read_uptime
    began=$uptime
    (
        ulimit -f "$MOST_OUTPUT_BLOCKS"
        exec setsid "$@"
    ) >stdout 2>stderr &
    tool=$!
    echo "$tool" >tool
    # shellcheck disable=SC2016 # the inner shell expands them
    setsid sh -c 'sleep "$1"; : >timeout; kill -9 "-$2"' sh "$limit" "$tool" >/dev/null 2>&1 &
    watchdog=$!
    echo "$watchdog" >watchdog
    if [ -n "$sensors" ]; then
        watch &
        watcher=$!
    fi
    wait "$tool"
    code=$?
    read_uptime
    ended=$uptime
    kill -9 "-$watchdog" 2>/dev/null
    kill -9 "-$tool" 2>/dev/null
    [ -z "$watcher" ] || stop_watching
    if [ -n "$interval" ]; then
        count_time
        sample
    fi
    [ -e timeout ] && code=timeout
    echo "$code $began $ended" >exit.part && mv exit.part exit
}

# RUN SHA256 WAITING: a line of numbers, then what the tool printed.
report() {
    read -r code began ended <"runs/$1/exit" || trouble "No space left on device: the run's end could not be written"
    # shellcheck disable=SC2046 # two sizes, each with its name
    set -- "$@" $(wc -c "runs/$1/stdout" "runs/$1/watch")
    printf '%s %s %s %s %s %s %s\n' "$code" "$began" "$ended" "$4" "$6" "${2:--}" "$3"
    cat "runs/$1/stdout" "runs/$1/watch" "runs/$1/stderr"
}

hash_of_graph() {
    graph_hash=''
    [ -n "$1" ] || return 0
    [ -f "$2" ] || exit "$ABSENT"
    hash_of "$2"
    graph_hash=$hash
    [ "$graph_hash" = "$1" ] || exit "$MISMATCH"
    touch "${2%/*}"
}

# KILOBYTES KEEP...: removes what was used longest ago, until no more than that is left; prints what it removed.
clean() {
    limit=$1 kept=0
    shift
    # shellcheck disable=SC2012 # the names are hashes
    ls -t objects 2>/dev/null | while read -r name; do
        size=$(du -sk "objects/$name")
        size=${size%%[!0-9]*}
        kept=$((kept + size))
        case " $* " in *" $name "*) continue ;; esac
        if [ "$kept" -gt "$limit" ]; then rm -rf "objects/$name" && printf '%s %s\n' "$name" "$size"; fi
    done
}

command=$1
shift
case $command in
turn) # TOKEN SECONDS OWNER: whoever gets it finds nothing of others running
    take_turn "$@"
    end_all_runs
    ;;
leave) # TOKEN
    leave "$1"
    ;;
govern) # TOKEN SECONDS OWNER NAME
    govern "$@"
    ;;
keep) # NAME TOKEN
    keep_governors "$@"
    ;;
present) # SHA256 NAME
    hash_of_graph "$1" "objects/$1/$2"
    ;;
receive) # SHA256 NAME ENCODING [KILOBYTES KEEP...], and the content as standard input; makes room first
    sha256=$1 name=$2 encoding=$3 part="objects/$1/.part.$$"
    shift 3
    [ $# -eq 0 ] || clean "$@" >/dev/null
    said=$(mkdir -p "objects/$sha256" 2>&1) || trouble "$said"
    case $encoding in
    gzip) said=$({ gzip -dc >"$part"; } 2>&1) ;;
    *) said=$({ cat >"$part"; } 2>&1) ;;
    esac || {
        rm -f "$part"
        trouble "$said"
    }
    hash_of "$part"
    if [ "$hash" != "$sha256" ]; then
        rm -f "$part"
        rmdir "objects/$sha256" 2>/dev/null
        exit "$MISMATCH"
    fi
    said=$(chmod 700 "$part" 2>&1 && mv -f "$part" "objects/$sha256/$name" 2>&1) || trouble "$said"
    ;;
forget) # SHA256 NAME
    rm -f "objects/$1/$2"
    rmdir "objects/$1" 2>/dev/null
    ;;
run) # TOKEN SECONDS OWNER RUN PREVIOUS LIMIT AFFINITY INTERVAL SENSORS SHA256 GRAPH ARGV...: to its end, then tells
    waiting=0
    if [ -n "$1" ]; then
        take_turn "$1" "$2" "$3"
        end_all_runs
    elif [ -n "$5" ]; then
        rm -rf "runs/$5"
    fi
    others_waiting=$waiting run=$4 limit=$6 affinity=$7 interval=$8 sensors=$9
    hash_of_graph "${10}" "${11}"
    shift 11
    said=$(mkdir -p "runs/$run" 2>&1) || trouble "$said"
    set -- "$run" "$limit" "$affinity" "$interval" "$sensors" "$@"
    HARNESS_RUN=$run setsid sh "$0" supervise "$@" </dev/null >/dev/null 2>&1 &
    wait $!
    report "$run" "$graph_hash" "$others_waiting"
    ;;
supervise)
    supervise "$@"
    ;;
collect) # RUN SECONDS SHA256: what a run has come to, once it has
    [ -d "runs/$1" ] || exit "$GONE"
    waited=0
    until [ -e "runs/$1/exit" ]; do
        [ "$waited" -lt "$2" ] || exit "$PENDING"
        sleep 1
        waited=$((waited + 1))
        if ! { read -r pid <"runs/$1/supervisor" && is_of_run "$pid" "$1"; } 2>/dev/null; then
            [ -e "runs/$1/exit" ] || exit "$GONE"
        fi
    done
    report "$1" "$3" 0
    ;;
end) # RUN
    end_run "runs/$1"
    ;;
clean) # KILOBYTES KEEP...
    clean "$@"
    ;;
esac
