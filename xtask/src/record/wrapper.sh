#!/bin/sh
# Stands in for a container runtime: keeps each config.json and each process of `exec` that it is called with in
# @RECORDS@, and becomes the runtime. Engines start runtimes without an environment, so both paths are written in.
bundle=. verb= process= value=
for word; do
    case $value in
        bundle) bundle=$word value= ;;
        process) process=$word value= ;;
        other) value= ;;
        *)
            case $word in
                --bundle | -b) value=bundle ;;
                --bundle=*) bundle=${word#*=} ;;
                --process | -p) value=process ;;
                --process=*) process=${word#*=} ;;
                --root | --log | --log-format | --pid-file | --console-socket) value=other ;;
                create | run | exec) [ -n "$verb" ] || verb=$word ;;
            esac
            ;;
    esac
done
case $verb in
    create | run) cp "$bundle/config.json" '@RECORDS@'/"$(date +%s%N)".json ;;
    exec) [ -z "$process" ] || cp "$process" '@RECORDS@'/"$(date +%s%N)".process.json ;;
esac
exec '@RUNTIME@' "$@"
