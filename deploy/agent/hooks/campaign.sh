# Which campaign this project's sessions drive; read by the other hooks. Empty where there is none, and then they
# say and do nothing: a session that drives no campaign is left alone.

campaign=${WINDLASS_CAMPAIGN:-}
project=${CLAUDE_PROJECT_DIR:-.}
if [ -z "$campaign" ] && [ -f "$project/.windlass-campaign" ]; then
    campaign=$(head -n 1 "$project/.windlass-campaign")
fi
# It goes into commands and into JSON: whatever is no plain name is none.
case $campaign in
*[!A-Za-z0-9._-]* | -*) campaign= ;;
esac
command -v windlass > /dev/null 2>&1 || campaign=
