#!/bin/sh
# Looks after pools of ports by the words of the Python Kuryr's subports.py:
#
#   contrib/pools-management/subports.sh create --trunks NODE... [-n NUMBER] [-t SECONDS]
#   contrib/pools-management/subports.sh free [--trunks NODE...] [-t SECONDS]
#   contrib/pools-management/subports.sh list [-t SECONDS]
#   contrib/pools-management/subports.sh show --trunk NODE [-p PROJECT [--sg GROUP...]] [-t SECONDS]
#
# A NODE is the address of a trunk's port, as it was there, or the name of any node. `kuryrctl pools` does the work, and has more to say:
# this script is for what was written for the old one. KURYRCTL names the program, KURYR_POOLS_SOCKET the socket if it is another than
# /run/kuryr/kuryr_manage.sock.
set -eu

usage() {
    sed -n 's/^#   //p' "$0"
}

fail() {
    printf 'subports.sh: %s\n' "$*" >&2
    usage >&2
    exit 2
}

case ${1-} in
    create | free | list | show) verb=$1 ;;
    -h | --help) usage && exit 0 ;;
    '') fail "create, free, list or show?" ;;
    *) fail "$1 is none of create, free, list, show" ;;
esac
shift

# Words are taken from the front, and what they come to is put to the end: at the mark, all that is left is for kuryrctl.
nodes=0
field=
set -- "$@" --end-of-words
while [ "$1" != --end-of-words ]; do
    word=$1
    shift
    case $word in
        --*=*)
            set -- "${word%%=*}" "${word#*=}" "$@"
            continue
            ;;
        -h | --help) usage && exit 0 ;;
        --trunks | --trunk) field=node ;;
        -n | --num | --num-ports) field=--ports ;;
        -t | --timeout) field=--timeout ;;
        -p | --project-id) field=--project ;;
        --sg) field=--security-group ;;
        -*) fail "$word is not known" ;;
        *)
            case $field in
                node)
                    nodes=$((nodes + 1))
                    set -- "$@" "$word"
                    ;;
                '') fail "what is $word?" ;;
                --security-group) set -- "$@" "$field" "$word" ;;
                *)
                    set -- "$@" "$field" "$word"
                    field=
                    ;;
            esac
            ;;
    esac
done
shift
case $field in
    --ports | --timeout | --project) fail "the last word lacks its value" ;;
esac
if [ -n "${KURYR_POOLS_SOCKET-}" ]; then set -- "$@" --socket "$KURYR_POOLS_SOCKET"; fi

case $verb in
    create)
        [ "$nodes" -gt 0 ] || fail "create needs --trunks"
        set -- fill "$@"
        ;;
    free)
        if [ "$nodes" -eq 0 ]; then set -- --all "$@"; fi
        set -- free "$@"
        ;;
    list) set -- list --keys "$@" ;;
    show)
        [ "$nodes" -eq 1 ] || fail "show needs one --trunk"
        set -- show "$@"
        ;;
esac
exec "${KURYRCTL:-kuryrctl}" pools "$@"
