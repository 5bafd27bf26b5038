# Stands between a test and its server. The test holds the other end of standard input; when that closes, for whatever
# reason, the server ends and its directory goes.
#
# guard.sh DIRECTORY LOG SIGNAL COMMAND...
#
# Each line of input is `start`, answered with the server's process id, or the name of a signal, which is sent to the
# server and answered with its exit status. SIGNAL is the one that ends it at once.
set -u
directory=$1 log=$2 last=$3
shift 3
server=

end() {
    kill -s "$1" "$server"
    wait "$server"
}

while read -r word; do
    case $word in
    start)
        "$@" </dev/null >>"$log" 2>&1 &
        server=$!
        echo "$server"
        ;;
    *)
        end "$word"
        status=$?
        server=
        echo "$status"
        ;;
    esac
done
if [ -n "$server" ]; then
    end "$last"
fi
if [ -n "$directory" ]; then
    rm -rf -- "$directory"
fi
