#!/bin/sh
# The harness's program on a device: installed at each connection, and run once for each command.
# It is POSIX sh and uses only programs and options that GNU, busybox and Android's toybox share.
# Its exit codes are those of ExitCode in agent.py; with 70, stderr has the system's error message.
set -u
umask 077
export LC_ALL=C
cd "${0%/*}" || exit 70

TROUBLE=70 BUSY=71 ABSENT=72 MISMATCH=73 VANISHED=74 PENDING=75 UNGOVERNED=76
MOST_OUTPUT_BLOCKS=65536 # of 512 bytes: SIGXFSZ ends a tool that prints more
KEEPER_LOOKS_S=10
NEWLINE='
'

# MESSAGE: exits with the system's error message.
trouble() {
    printf '%s\n' "$1" >&2
    exit "$TROUBLE"
}

# Boards start processes slowly, and this program runs between any two that are measured.
# So functions return their results in variables, not through subshells.

# FILE: sets `hash` to its SHA-256, in hexadecimal.
hash_of() {
    hash=$(sha256sum <"$1")
    hash=${hash%% *}
}

# Sets `uptime`, in seconds since boot: the device's clock may be wrong, or be set meanwhile.
# Android hides /proc/uptime from apps such as Termux. A new process shows the same clock: the 22nd
# number about it is when it started, in hundredths of a second since boot (proc(5)).
read_uptime() {
    uptime=''
    read -r uptime _ 2>/dev/null </proc/uptime
    case $uptime in [0-9]*) return ;; esac
    process=$(read -r line 2>/dev/null </proc/self/stat && printf '%s\n' "${line##*) }")
    # shellcheck disable=SC2086 # split into words, from the third number on
    set -- $process
    if [ $# -lt 20 ] || ! [ "${20}" -ge 100 ] 2>/dev/null; then
        trouble 'neither /proc/uptime nor /proc/self/stat can be read'
    fi
    uptime=${20%??}.${20#"${20%??}"}
}

# ---- Turns. The file `queue` has this boot's id and a line "TOKEN UNTIL OWNER" for each user who
# wants the device, in order of arrival. The first one may use the device.

# Sets `now`, in whole seconds since boot, and `this_boot`, the id of this boot.
read_now() {
    read_uptime
    now=${uptime%%.*} this_boot=unknown
    read -r this_boot 2>/dev/null </proc/sys/kernel/random/boot_id
}

# Locks the queue until file descriptor 9 is closed.
lock_queue() {
    true 2>/dev/null >>queue.guard || trouble "$({ true >>queue.guard; } 2>&1)"
    exec 9>>queue.guard
    # Android's mksh does not pass 9 on to programs.
    if command -v flock >/dev/null; then flock 8 8>&9; fi
    read_now
}

# TOKEN UNTIL OWNER: sets `lines` to those that have not expired, with our line renewed or appended.
# Without UNTIL, our line is removed. Sets `first` to the first line, `waiting` to the number of
# others' lines, and `mine` to the time when ours would have expired.
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
    error=$({
        printf '%s\n%s' "$this_boot" "$lines" >queue.part && mv -f queue.part queue
    } 2>&1) || trouble "$error"
}

# TOKEN SECONDS OWNER: takes or renews a place in the queue, and prints who has the device if it is
# not ours. To save writes, a place that lasts for all but half a minute of SECONDS stays as it is.
take_turn() {
    lock_queue
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

# TOKEN: gives the place back. If it was the first, our runs end and the governors are restored.
leave() {
    lock_queue
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

# TOKEN: succeeds if it is first and has not expired.
has_turn() {
    read_now
    read_queue "$1" "$now" ''
    case $first in
    "$1 "*) [ "$mine" -ge "$now" ] ;;
    *) false ;;
    esac
}

# ---- Governors. The file `governors` has a line with this boot's id and the name of this change,
# a line "TOKEN OWNER" of the user they were set for, and for each policy a line "GOVERNOR FILE"
# with its earlier governor.

# HOLDER: restores the governors unless they were set for this holder.
restore_governors() {
    [ -e governors ] || return 0
    {
        read -r boot _
        read -r holder
        [ "$boot $holder" != "$this_boot $1" ] || return 0
        while [ "$boot" = "$this_boot" ] && read -r governor file; do
            echo "$governor" >"$file"
        done
    } 2>/dev/null <governors
    rm -f governors
}

# NAME FILE...: exits if a policy lacks this governor, and prints those that it has.
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

# TOKEN OWNER FILE...: saves them unless already saved, and starts the keeper that restores them.
save_governors() {
    [ ! -e governors ] || return 0
    token=$1 saved="$this_boot $$$NEWLINE$1 $2$NEWLINE"
    shift 2
    for file in "$@"; do
        if read -r governor <"$file"; then saved=$saved$governor' '$file$NEWLINE; fi
    done
    error=$({ printf %s "$saved" >governors.part && mv -f governors.part governors; } 2>&1) ||
        trouble "$error"
    setsid sh "$0" keep $$ "$token" </dev/null >/dev/null 2>&1 &
}

# TOKEN SECONDS OWNER NAME: sets the governor of all cores for as long as the turn lasts.
govern() {
    take_turn "$1" "$2" "$3"
    token=$1 owner=$3 name=$4
    set -- "${HARNESS_SYSFS:-/sys}"/devices/system/cpu/cpufreq/policy*/scaling_governor
    if [ ! -e "$1" ]; then
        echo 'its system does not allow setting the clock of its cores' >&2
        exit "$UNGOVERNED"
    fi
    check_governor "$name" "$@"
    save_governors "$token" "$owner" "$@"
    for file in "$@"; do
        governor=''
        error=$({ echo "$name" >"$file"; } 2>&1)
        read -r governor <"$file"
        if [ "$governor" != "$name" ]; then
            printf '%s\n' "${error:-it did not change}" >&2
            restore_governors ''
            exit "$UNGOVERNED"
        fi
    done
}

# NAME TOKEN: restores the governors once the turn is over, as its user may have died.
keep_governors() {
    while sleep "$KEEPER_LOOKS_S" && are_governors "$1"; do
        has_turn "$2" && continue
        lock_queue
        if are_governors "$1" && ! has_turn "$2"; then restore_governors ''; fi
        exec 9>&-
    done
}

# NAME: succeeds if the saved governors are still those of this change.
are_governors() {
    { read -r _ name <governors && [ "$name" = "$1" ]; } 2>/dev/null
}

# ---- Runs. Each has a folder with its process ids and output, and the file `exit` once it ends.

# PID RUN: succeeds if the process belongs to the run.
is_of_run() {
    [ -e "/proc/$1" ] && tr '\0' '\n' 2>/dev/null <"/proc/$1/environ" | grep -qx "HARNESS_RUN=$2"
}

# FOLDER: ends a run's processes, unless the system has given their ids to others since.
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

# ---- Watching. A run's file `watch` gets lines in the format that bench/watch.py parses. Apart
# from `sleep` and sensors that are commands, only built-ins are used: watching takes time from the
# tool.

# Appends a reading of `sensors`, which has one on each line: a file, or a command after `!`.
# `-` stands for a sensor without a value.
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
        # shellcheck disable=SC2086 # split into words, to be joined by commas
        set -- ${value:--}
        IFS=,
        line="$line $*"
    done
    unset IFS
    echo "$line" >>watch
}

# Appends the time of all cores, and the share of this shell and its children: harness and tool.
count_time() {
    read_uptime
    jiffies=''
    read -r _ jiffies 2>/dev/null </proc/stat
    {
        echo "cpu $uptime $jiffies"
        times
    } >>watch
}

# Takes readings until the run's folder is removed. The first comes early, for short runs.
watch() {
    pause=1
    case $interval in 0.*) pause=$interval ;; esac
    while { sleep "$pause" || sleep 1; } && [ -s tool ]; do
        sample
        pause=$interval
    done
}

# PROGRAM: prints which interpreter a script asks for in vain: the kernel blames the script.
explain_script() {
    line=''
    { read -r line <"$1"; } 2>/dev/null
    case $line in '#!'*) ;; *) return ;; esac
    program=$1
    # shellcheck disable=SC2086 # the first word is the interpreter
    set -- ${line#??}
    [ -e "${1-}" ] || printf '%s: %s: bad interpreter: No such file\n' "${program##*/}" "${1-}"
}

stop_watching() {
    : >tool # ends a watcher that has just started: in mksh, it may miss the signal
    trap '' TERM
    kill -TERM 0 # the process group: this shell, its watcher, and the watcher's children
    wait "$watcher"
}

# RUN LIMIT AFFINITY INTERVAL SENSORS ARGV...: runs a tool. It is started in its own session, so
# that it survives the loss of the link.
supervise() {
    cd "runs/$1" || exit
    echo $$ >supervisor
    limit=$2 affinity=$3 interval=$4 sensors=$5 watcher='' program=$6
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
    case $code in 126 | 127) explain_script "$program" >>stderr ;; esac
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

# RUN SHA256 WAITING: prints a line of numbers, then the run's output, readings and errors. The run's
# name, which no tool prints as a line, stands between these.
report() {
    read -r code began ended <"runs/$1/exit" ||
        trouble "No space left on device: the run's exit code could not be written"
    cd "runs/$1" || exit "$TROUBLE"
    { echo && echo "$1"; } >border || trouble 'No space left on device: no report can be written'
    echo "$code $began $ended $1 ${2:--} $3"
    cat stdout border watch border stderr
}

# SHA256 FILE: exits unless the file has this hash, marks it as used, and sets `file_hash`.
# An empty SHA256 checks nothing.
check_file() {
    file_hash=''
    [ -n "$1" ] || return 0
    [ -f "$2" ] || exit "$ABSENT"
    hash_of "$2"
    file_hash=$hash
    [ "$file_hash" = "$1" ] || exit "$MISMATCH"
    touch "${2%/*}"
}

# KILOBYTES KEEP...: removes the least recently used files until the rest fits, and prints
# what it removed.
clean() {
    limit=$1 kept=0
    shift
    # shellcheck disable=SC2012 # the names are hashes
    ls -t objects 2>/dev/null | while read -r name; do
        size=$(du -sk "objects/$name")
        size=${size%%[!0-9]*}
        kept=$((kept + size))
        case " $* " in *" $name "*) continue ;; esac
        if [ "$kept" -gt "$limit" ]; then
            rm -rf "objects/$name" && printf '%s %s\n' "$name" "$size"
        fi
    done
}

command=$1
shift
case $command in
turn) # TOKEN SECONDS OWNER: once the turn is ours, no earlier run is left
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
    check_file "$1" "objects/$1/$2"
    ;;
receive) # SHA256 NAME ENCODING [KILOBYTES KEEP...]: reads the content from stdin; cleans before
    sha256=$1 name=$2 encoding=$3 part="objects/$1/.part.$$"
    shift 3
    [ $# -eq 0 ] || clean "$@" >/dev/null
    error=$(mkdir -p "objects/$sha256" 2>&1) || trouble "$error"
    case $encoding in
    gzip) error=$({ gzip -dc >"$part"; } 2>&1) ;;
    *) error=$({ cat >"$part"; } 2>&1) ;;
    esac || {
        rm -f "$part"
        trouble "$error"
    }
    hash_of "$part"
    if [ "$hash" != "$sha256" ]; then
        rm -f "$part"
        rmdir "objects/$sha256" 2>/dev/null
        exit "$MISMATCH"
    fi
    error=$(chmod 700 "$part" 2>&1 && mv -f "$part" "objects/$sha256/$name" 2>&1) ||
        trouble "$error"
    ;;
forget) # SHA256 NAME
    rm -f "objects/$1/$2"
    rmdir "objects/$1" 2>/dev/null
    ;;
# TOKEN SECONDS OWNER RUN PREVIOUS LIMIT AFFINITY INTERVAL SENSORS SHA256 MODEL ARGV...: waits for
# the end of a run, and reports
run)
    read_uptime # ends here if it can't
    waiting=0
    if [ -n "$1" ]; then
        take_turn "$1" "$2" "$3"
        end_all_runs
    elif [ -n "$5" ]; then
        rm -rf "runs/$5"
    fi
    others_waiting=$waiting run=$4 limit=$6 affinity=$7 interval=$8 sensors=$9
    check_file "${10}" "${11}"
    shift 11
    error=$(mkdir -p "runs/$run" 2>&1) || trouble "$error"
    set -- "$run" "$limit" "$affinity" "$interval" "$sensors" "$@"
    HARNESS_RUN=$run setsid sh "$0" supervise "$@" </dev/null >/dev/null 2>&1 &
    wait $!
    report "$run" "$file_hash" "$others_waiting"
    ;;
supervise)
    supervise "$@"
    ;;
collect) # RUN SECONDS SHA256: waits for the end of a run, and reports
    [ -d "runs/$1" ] || exit "$VANISHED"
    waited=0
    until [ -e "runs/$1/exit" ]; do
        [ "$waited" -lt "$2" ] || exit "$PENDING"
        sleep 1
        waited=$((waited + 1))
        if ! { read -r pid <"runs/$1/supervisor" && is_of_run "$pid" "$1"; } 2>/dev/null; then
            [ -e "runs/$1/exit" ] || exit "$VANISHED"
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
