#!/bin/sh
# Stop: while the campaign runs the loop goes on, since an empty queue is a wait and not an end (P32). It cannot
# go on for ever by this hook: after STILL_MAX blocks in which nothing moved, or SESSION_MAX in one session, the
# session may end. Whatever cannot be told (no coordinator, no campaign, no place to count) lets it end too.

STILL_MAX=5
SESSION_MAX=500

. "$(dirname "$0")/campaign.sh"
[ -n "$campaign" ] || exit 0

session=$(sed -n 's/.*"session_id"[[:space:]]*:[[:space:]]*"\([A-Za-z0-9_-]\{1,100\}\)".*/\1/p' | head -n 1)
[ -n "$session" ] || exit 0

status=$(windlass --output json status "$campaign" 2> /dev/null) || exit 0
# The first of its states is the campaign's own.
state=$(printf '%s' "$status" | grep -o '"state":{"state":"[a-z]*"' | head -n 1)
[ "$state" = '"state":{"state":"active"' ] || exit 0
# What moves when a lever is queued, pulled or decided.
moved=$(printf '%s' "$status" | grep -o '"decided":{[^}]*},"queued":[0-9]*' | head -n 1 | cksum)

folder=${CLAUDE_PLUGIN_DATA:-${XDG_STATE_HOME:-$HOME/.local/state}/windlass}/stops
mkdir -p "$folder" 2> /dev/null || exit 0
file=$folder/$session
still=0 blocks=0 before=
if [ -f "$file" ]; then
    { read -r still; read -r blocks; read -r before; } < "$file"
fi
case $still$blocks in
'' | *[!0-9]*) still=0 blocks=0 ;;
esac
if [ "$before" = "$moved" ]; then still=$((still + 1)); else still=0; fi
blocks=$((blocks + 1))
if [ "$still" -ge "$STILL_MAX" ] || [ "$blocks" -gt "$SESSION_MAX" ]; then
    exit 0
fi
printf '%s\n%s\n%s\n' "$still" "$blocks" "$moved" > "$file" 2> /dev/null || exit 0

printf '{"decision":"block","reason":"%s"}\n' "The Windlass campaign $campaign runs, and you are its researcher. \
Read its context again, answer what is waited for, or propose the next lever; while a run goes on, wait for it. \
It is over when its owner pauses or stops it, or takes .windlass-campaign away."
