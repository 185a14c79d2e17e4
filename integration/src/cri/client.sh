# A client of the Container Runtime Interface, for scripts: busybox sh client.sh VERB ... protoc writes and reads the
# messages, in protobuf's text form, and curl carries them: gRPC is HTTP/2, here over a Unix socket, with five bytes
# before a message and its status in the trailers.
#
# CRI_PLACE is the directory of the engine: its socket is there, and what this client keeps. CRI_PARENT is the cgroup of
# the pods.
set -u
here=${0%/*}
me="busybox sh $0"

# call METHOD [MESSAGE ...]: the answer as text; or the error, and failure. Several messages are merged into one.
call() {
    local method=$1 work="$CRI_PLACE/calls/$$" status=14 text= name value message
    shift
    for message; do
        echo "$message" | protoc -I "$here" --encode="runtime.v1.${method}Request" api.proto || return 3
    done > "$work.message"
    { frame "$(stat -c %s "$work.message")"; cat "$work.message"; } > "$work.request"
    curl -sS --http2-prior-knowledge --unix-socket "$CRI_PLACE/containerd.sock" -H 'content-type: application/grpc' \
        -H 'te: trailers' --data-binary "@$work.request" -D "$work.headers" -o "$work.answer" \
        "http://cri/runtime.v1.RuntimeService/$method" || return
    while read -r name value; do
        case $name in
            grpc-status:) status=${value%?} ;;
            grpc-message:) text=${value%?} ;;
        esac
    done < "$work.headers"
    # Most have nothing to say.
    if [ "$status" = 0 ] && [ "$(stat -c %s "$work.answer")" = 5 ]; then
        return
    elif [ "$status" = 0 ]; then
        tail -c +6 "$work.answer" | protoc -I "$here" --decode="runtime.v1.${method}Response" api.proto
    else
        printf 'error: code = %s desc = %b\n' "$(code "$status")" "${text//%/\\x}" >&2
        return 1
    fi
}

# Not compressed, and the length in four bytes.
frame() {
    printf "$(printf '\\x%02x' 0 $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) $(($1 & 255)))"
}

code() {
    case $1 in
        2) echo Unknown ;; 3) echo InvalidArgument ;; 4) echo DeadlineExceeded ;; 5) echo NotFound ;;
        6) echo AlreadyExists ;; 9) echo FailedPrecondition ;; 12) echo Unimplemented ;; 14) echo Unavailable ;;
        *) echo "$1" ;;
    esac
}

# The value of the first field of a name, out of text: what it says, for strings.
field() {
    sed -n "s/^ *$1: //p" | sed -n 1p | sed 's/^"\(.*\)"$/\1/'
}

text_of() {
    printf %s "$1" | sed 's/[\\"]/\\&/g' | sed ':a;N;$!ba;s/\n/\\n/g'
}

# pod [CONFIG [HANDLER]]: the id of a new pod that runs; CRI_HANDLER is what handles those for which none is given.
pod() {
    local name="pod$$" config answer id
    config="metadata { name: '$name' uid: '$name' namespace: 'case' } log_directory: '$CRI_PLACE/logs/$name'
        linux { cgroup_parent: '$CRI_PARENT' }"
    # A pod has one unless it has the node's network.
    case ${1-} in *hostname:* | *"network: NODE"*) ;; *) config="$config hostname: 'pod'" ;; esac
    answer=$(call RunPodSandbox "config { $config } runtime_handler: '${2-${CRI_HANDLER-}}'" ${1:+"config { $1 }"}) || return
    id=$(echo "$answer" | field pod_sandbox_id)
    echo "$config" > "$CRI_PLACE/pods/$id"
    printf %s "${1-}" > "$CRI_PLACE/pods/$id.more"
    echo "$id"
}

# end POD
end() {
    call StopPodSandbox "pod_sandbox_id: '$1'" && call RemovePodSandbox "pod_sandbox_id: '$1'"
}

# podstatus POD: its state.
podstatus() {
    # What is the first of an enumeration is not transmitted.
    call PodSandboxStatus "pod_sandbox_id: '$1'" | awk '$1 == "state:" { state = $2 } END { if (NR) print state ? state : "SANDBOX_READY" }'
}

# create POD LINE [CONFIG]: the id of a new container of the image that is to run a line of shell, if there is one. As of
# the kubelet it has pids of its own if nothing is said about them.
create() {
    local name="c$$" config more answer
    config="metadata { name: '$name' } image { image: '$CRI_IMAGE' } log_path: '$name.log'"
    [ -z "$2" ] || config="$config command: ['sh', '-c', \"$(text_of "$2")\"]"
    case ${3-} in *namespace_options*) ;; *) config="$config linux { security_context { namespace_options { pid: CONTAINER } } }" ;; esac
    more="config { ${3-} } sandbox_config { $(cat "$CRI_PLACE/pods/$1.more") }"
    [ "$more" != "config {  } sandbox_config {  }" ] || more=
    answer=$(call CreateContainer "pod_sandbox_id: '$1' config { $config } sandbox_config { $(cat "$CRI_PLACE/pods/$1") }" \
        ${more:+"$more"}) || return
    echo "$answer" | field container_id
}

# run POD LINE [CONFIG]: the same, started; its id.
run() {
    local id
    id=$(create "$@") || return
    call StartContainer "container_id: '$id'" && echo "$id" && return
    rm_ "$id"
    return 1
}

# once POD LINE [CONFIG]: the same, with its end awaited: what it has said, and how it ended if not well.
once() {
    local id end
    id=$(run "$@") || return
    end=$(ended "$id")
    echo "$end" | log_of
    echo "$end" | how_of | grep -v 'Completed 0'
    rm_ "$id"
}

# status ID
status() {
    call ContainerStatus "container_id: '$1'"
}

# wait ID: until it has ended.
wait_() {
    ended "$1" > /dev/null
}

# Its status then.
ended() {
    local tries=0 answer
    until answer=$(status "$1") && case $answer in *CONTAINER_EXITED*) true ;; *) false ;; esac; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || { echo "it still runs: $1" >&2; return 1; }
        sleep 0.1
    done
    echo "$answer"
}

# await LINE: until a line succeeds.
await() {
    local tries=0
    until sh -c "$1"; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || { echo "waited in vain: $1" >&2; return 1; }
        sleep 0.1
    done
}

# how ID: the reason of its end and its exit code.
how() {
    status "$1" | how_of
}

how_of() {
    awk '$1 == "exit_code:" { code = $2 } $1 == "reason:" { gsub("\"", ""); reason = $2 } END { print reason, code + 0 }'
}

# log ID: what it has written: first to one stream, then to the other, because that is how they are told apart.
log() {
    status "$1" | log_of
}

log_of() {
    awk '$1 == "log_path:" { gsub("\"", ""); print $2 }' | xargs awk '
        { stream = $2; sub("^[^ ]* [^ ]* [^ ]* ", "") } stream == "stdout" { print } stream == "stderr" { err = err $0 "\n" }
        END { printf "%s", err }'
}

# pid ID: its first process.
pid() {
    call ContainerStatus "container_id: '$1' verbose: true" | sed -n 's/.*"{\\"sandboxID\\":[^,]*,\\"pid\\":\([0-9]*\),.*/\1/p'
}

# exec ID COMMAND ...: what it writes, and its exit code if not 0. CRI_TIMEOUT is in seconds.
exec_() {
    local id=$1 command= answer word status
    shift
    for word; do command="$command cmd: \"$(text_of "$word")\""; done
    answer=$(call ExecSync "container_id: '$id' $command timeout: ${CRI_TIMEOUT-0}") || return
    printf %b "$(echo "$answer" | field stdout | escapes)"
    printf %b "$(echo "$answer" | field stderr | escapes)" >&2
    status=$(echo "$answer" | field exit_code)
    return "${status:-0}"
}

# As they are in protobuf's text: in the form of printf.
escapes() {
    sed -e 's/\\\\/\\134/g' -e 's/\\\([0-3][0-7][0-7]\)/\\0\1/g' -e "s/[\\]\(['\"]\)/\1/g"
}

# A frame of a channel and a text.
frame_of() {
    printf "\\x82\\x$(printf %02x $((${#2} + 129)))\\0\\0\\0\\0\\x0$1%s" "$2"
}

# stream METHOD MESSAGE INPUT ...: Exec or Attach: what comes on the streams, each by itself, and at last the status. The
# first character of an input is its channel: 0 takes a line of standard input, 4 the size of the terminal.
#
# The streams are in the frames of a WebSocket, the first byte of each of which is the channel; those of a client are
# masked, here by zeroes.
stream() {
    local method=$1 url port input work="$CRI_PLACE/calls/$$"
    url=$(call "$method" "$2" | field url) || return
    url=${url#http://}
    shift 2
    mkfifo "$work.in"
    exec 3<> "$work.in"
    # Containerd has a network namespace of its own.
    port=${url%%/*}
    nsenter --net="/proc/$(cat "$CRI_PLACE/pid")/ns/net" busybox timeout 20 busybox nc "${port%:*}" "${port#*:}" \
        < "$work.in" > "$work.out" &
    printf 'GET /%s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' "${url#*/}" "${url%%/*}" "${url%%/*}" >&3
    printf 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n' >&3
    for input; do
        sleep 0.3
        case $input in
            0*) frame_of 0 "${input#0}
" ;;
            *) frame_of "${input%"${input#?}"}" "${input#?}" ;;
        esac >&3
    done
    wait $!
    exec 3>&-
    rm "$work.in"
    od -An -v -tu1 "$work.out" | awk '
        { for (i = 1; i <= NF; i++) bytes[n++] = $i }
        END {
            while (p < n && !(bytes[p] == 13 && bytes[p + 2] == 13)) p++
            for (p += 4; bytes[p] == 130; p += head + size) {
                head = 2; size = bytes[p + 1]
                if (size == 126) { head = 4; size = bytes[p + 2] * 256 + bytes[p + 3] }
                for (k = 1; k < size; k++) streams[bytes[p + head]] = streams[bytes[p + head]] sprintf("%c", bytes[p + head + k])
            }
            printf "%s%s%s\n", streams[1], streams[2], streams[3]
        }'
}

# stop ID SECONDS
stop() {
    call StopContainer "container_id: '$1' timeout: $2"
}

rm_() {
    call RemoveContainer "container_id: '$1'"
}

# restart: containerd is killed, and another one serves.
restart() {
    kill -9 "$(cat "$CRI_PLACE/pid")"
    until call Version 2> /dev/null | grep -q containerd; do sleep 0.1; done
}

# away LINE: the same, and meanwhile a line is run.
away() {
    kill -STOP "$(cat "$CRI_PLACE/pid")"
    sh -c "$1"
    restart
}

verb=$1
shift
case $verb in
    wait | exec | rm) "${verb}_" "$@" ;;
    *) "$verb" "$@" ;;
esac
