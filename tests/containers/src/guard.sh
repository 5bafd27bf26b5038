# Stands between a test and its containers. The test holds the other end of standard input; when that closes, for
# whatever reason, the containers end, what is mounted goes, and the directory that holds it all.
#
# guard.sh DIRECTORY
set -u
cat >/dev/null
podman rm --all --force --time 0 >/dev/null 2>&1
# What was mounted last is unmounted first.
sed -n "s|^[^ ]* \($1/[^ ]*\) .*|\1|p" /proc/mounts | sort --reverse | while read -r mounted; do
    umount --lazy "$mounted"
done
rm -rf --one-file-system -- "$1"
