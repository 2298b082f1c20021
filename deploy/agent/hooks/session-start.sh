#!/bin/sh
# SessionStart: what is printed becomes part of the session's context. A session that was compacted, cleared or
# begun anew knows again where the campaign stands. Hosts take 10,000 characters; the context fits itself into less.

. "$(dirname "$0")/campaign.sh"
[ -n "$campaign" ] || exit 0

echo "You drive the Windlass campaign \`$campaign\` as its researcher: the skill windlass-research has the loop."
echo
# A coordinator that is away is no reason to keep a session from beginning.
windlass --output human context "$campaign" --max-bytes 9000 2>&1 ||
    echo "It cannot be read now; \`windlass status $campaign\` says when it can."
exit 0
